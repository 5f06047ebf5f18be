-- store/reconcile_loans.py: some loans, or all, held against what they were when they were compared last:
-- per currency by how much their principal together has changed since, which is noted for the next time.
-- A loan that is gone has none. Under the tenant's reconciliation lock.
WITH wanted AS (
    SELECT unnest(%(loan_ids)s::uuid[]) AS loan_id
    UNION
    SELECT loan_id FROM reconciliation_loans WHERE tenant_id = %(tenant_id)s AND %(all_loans)s
    UNION
    SELECT loan_id FROM loans WHERE tenant_id = %(tenant_id)s AND %(all_loans)s
), held AS MATERIALIZED (
    SELECT wanted.loan_id, coalesce(loan.currency, reconciled.currency) AS currency,
        coalesce(loan.principal_minor, 0) AS principal_minor, reconciled.compared_principal_minor
    FROM wanted
    LEFT JOIN reconciliation_loans AS reconciled
        ON reconciled.tenant_id = %(tenant_id)s AND reconciled.loan_id = wanted.loan_id
    LEFT JOIN loans AS loan ON loan.tenant_id = %(tenant_id)s AND loan.loan_id = wanted.loan_id
    WHERE coalesce(loan.loan_id, reconciled.loan_id) IS NOT NULL
), noted AS (
    INSERT INTO reconciliation_loans AS reconciled
        (tenant_id, loan_id, currency, principal_minor, interest_minor, fees_minor, compared_principal_minor)
    SELECT %(tenant_id)s, loan_id, currency, 0, 0, 0, principal_minor
    FROM held
    WHERE principal_minor IS DISTINCT FROM compared_principal_minor
    ON CONFLICT ON CONSTRAINT reconciled_loan_stands_once DO UPDATE
    SET compared_principal_minor = excluded.compared_principal_minor
)
SELECT currency, sum(principal_minor - coalesce(compared_principal_minor, 0))
FROM held
GROUP BY currency
ORDER BY currency
