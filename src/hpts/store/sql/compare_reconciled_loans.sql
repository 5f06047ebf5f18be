-- store/reconcile_loans.py: some loans, or all, held against their lines: per currency by how much their
-- principal together has changed since it was compared last. Takes no lock.
WITH wanted AS (
    SELECT unnest(%(loan_ids)s::uuid[]) AS loan_id
    UNION
    SELECT loan_id FROM reconciliation_loans WHERE tenant_id = %(tenant_id)s AND %(all_loans)s
    UNION
    SELECT loan_id FROM loans WHERE tenant_id = %(tenant_id)s AND %(all_loans)s
)
SELECT coalesce(loan.currency, reconciled.currency) AS currency,
    sum(coalesce(loan.principal_minor, 0) - coalesce(reconciled.compared_principal_minor, 0))
FROM wanted
LEFT JOIN reconciliation_loans AS reconciled
    ON reconciled.tenant_id = %(tenant_id)s AND reconciled.loan_id = wanted.loan_id
LEFT JOIN loans AS loan ON loan.tenant_id = %(tenant_id)s AND loan.loan_id = wanted.loan_id
WHERE coalesce(loan.loan_id, reconciled.loan_id) IS NOT NULL
GROUP BY 1
ORDER BY 1
