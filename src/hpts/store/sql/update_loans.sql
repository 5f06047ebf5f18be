-- store/append.py, second pipeline: what the loans of the batch owe now. They are locked by lock_loans,
-- so that each stays where it is found. OFFSET 0 keeps it a probe a loan: among many small tenants a
-- plan would hold every loan of the tenant against every one of the batch.
UPDATE loans
SET principal_minor = found.principal_minor, interest_minor = found.interest_minor,
    fees_minor = found.fees_minor, accrued_through = found.accrued_through,
    last_activity_at = greatest(loans.last_activity_at, $2::timestamptz)
FROM (
    SELECT place.ctid, changed.principal_minor, changed.interest_minor, changed.fees_minor,
        changed.accrued_through
    FROM unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::date[])
        AS changed (loan_id, principal_minor, interest_minor, fees_minor, accrued_through)
    CROSS JOIN LATERAL (
        SELECT ctid FROM loans WHERE tenant_id = $1::uuid AND loans.loan_id = changed.loan_id OFFSET 0
    ) AS place
    OFFSET 0
) AS found
WHERE loans.ctid = found.ctid
