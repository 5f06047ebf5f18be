-- store/reconcile_loans.py: loans, of some or of all, that differ from their lines; the first ones.
SELECT loan_id, coalesce(loan.currency, reconciled.currency),
    loan.principal_minor, coalesce(reconciled.principal_minor, 0),
    loan.interest_minor, coalesce(reconciled.interest_minor, 0),
    loan.fees_minor, coalesce(reconciled.fees_minor, 0)
FROM (
    SELECT loan_id, currency, principal_minor, interest_minor, fees_minor
    FROM reconciliation_loans
    WHERE tenant_id = %(tenant_id)s AND (%(all_loans)s OR loan_id = ANY (%(loan_ids)s::uuid[]))
) AS reconciled
FULL JOIN (
    SELECT loan_id, currency, principal_minor, interest_minor, fees_minor
    FROM loans
    WHERE tenant_id = %(tenant_id)s AND (%(all_loans)s OR loan_id = ANY (%(loan_ids)s::uuid[]))
) AS loan USING (loan_id)
WHERE (loan.principal_minor, loan.interest_minor, loan.fees_minor)
    IS DISTINCT FROM (reconciled.principal_minor, reconciled.interest_minor, reconciled.fees_minor)
ORDER BY loan_id
LIMIT %(count)s
