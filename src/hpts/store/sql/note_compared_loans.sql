-- store/reconcile_loans.py: notes the principal of loans, some or all, as compared. Under the tenant's
-- reconciliation lock.
UPDATE reconciliation_loans AS reconciled
SET compared_principal_minor = loan.principal_minor
FROM loans AS loan
WHERE reconciled.tenant_id = %(tenant_id)s AND loan.tenant_id = %(tenant_id)s
    AND loan.loan_id = reconciled.loan_id
    AND (%(all_loans)s OR reconciled.loan_id = ANY (%(loan_ids)s::uuid[]))
    AND reconciled.compared_principal_minor <> loan.principal_minor
