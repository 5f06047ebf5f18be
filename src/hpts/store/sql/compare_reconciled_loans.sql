-- store/reconcile_loans.py: some loans, or all, held against their lines: per currency by how much their
-- principal together has changed since it was compared last. Takes no lock.
SELECT coalesce(loan.currency, reconciled.currency) AS currency,
    coalesce(sum(coalesce(loan.principal_minor, 0) - coalesce(reconciled.compared_principal_minor, 0)), 0)
FROM (
    SELECT loan_id, currency, compared_principal_minor
    FROM reconciliation_loans
    WHERE tenant_id = %(tenant_id)s AND (%(all_loans)s OR loan_id = ANY (%(loan_ids)s::uuid[]))
) AS reconciled
FULL JOIN (
    SELECT loan_id, currency, principal_minor
    FROM loans
    WHERE tenant_id = %(tenant_id)s AND (%(all_loans)s OR loan_id = ANY (%(loan_ids)s::uuid[]))
) AS loan USING (loan_id)
GROUP BY 1
ORDER BY 1
