-- store/reconcile_loans.py: loans, of some or of all, that differ from their lines; the first ones.
WITH wanted AS (
    SELECT unnest(%(loan_ids)s::uuid[]) AS loan_id
    UNION
    SELECT loan_id FROM reconciliation_loans WHERE tenant_id = %(tenant_id)s AND %(all_loans)s
    UNION
    SELECT loan_id FROM loans WHERE tenant_id = %(tenant_id)s AND %(all_loans)s
)
SELECT wanted.loan_id, coalesce(loan.currency, reconciled.currency),
    loan.principal_minor, coalesce(reconciled.principal_minor, 0),
    loan.interest_minor, coalesce(reconciled.interest_minor, 0),
    loan.fees_minor, coalesce(reconciled.fees_minor, 0)
FROM wanted
LEFT JOIN reconciliation_loans AS reconciled
    ON reconciled.tenant_id = %(tenant_id)s AND reconciled.loan_id = wanted.loan_id
LEFT JOIN loans AS loan ON loan.tenant_id = %(tenant_id)s AND loan.loan_id = wanted.loan_id
WHERE (loan.principal_minor, loan.interest_minor, loan.fees_minor)
    IS DISTINCT FROM (reconciled.principal_minor, reconciled.interest_minor, reconciled.fees_minor)
ORDER BY wanted.loan_id
LIMIT %(count)s
