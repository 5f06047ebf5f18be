-- store/reconcile_loans.py: notes the principal of loans, some or all, as compared. Under the tenant's
-- reconciliation lock. The planner knows little of one tenant: OFFSET 0 and ON CONFLICT keep it to one
-- probe of each table a loan.
WITH wanted AS (
    SELECT unnest(%(loan_ids)s::uuid[]) AS loan_id
    UNION
    SELECT loan_id FROM reconciliation_loans WHERE tenant_id = %(tenant_id)s AND %(all_loans)s
    UNION
    SELECT loan_id FROM loans WHERE tenant_id = %(tenant_id)s AND %(all_loans)s
)
INSERT INTO reconciliation_loans AS reconciled
    (tenant_id, loan_id, currency, principal_minor, interest_minor, fees_minor, compared_principal_minor)
SELECT %(tenant_id)s, wanted.loan_id, loan.currency, 0, 0, 0, loan.principal_minor
FROM wanted
CROSS JOIN LATERAL (
    SELECT currency, principal_minor
    FROM loans
    WHERE tenant_id = %(tenant_id)s AND loan_id = wanted.loan_id
    OFFSET 0
) AS loan
ON CONFLICT ON CONSTRAINT reconciled_loan_stands_once DO UPDATE
SET compared_principal_minor = excluded.compared_principal_minor
WHERE reconciled.compared_principal_minor <> excluded.compared_principal_minor
