-- store/append.py, second pipeline: what the loans of the batch owe now. They are locked by lock_loans.
UPDATE loans
SET principal_minor = changed.principal_minor, interest_minor = changed.interest_minor,
    fees_minor = changed.fees_minor, accrued_through = changed.accrued_through,
    last_activity_at = greatest(loans.last_activity_at, $2::timestamptz)
FROM unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::date[])
    AS changed (loan_id, principal_minor, interest_minor, fees_minor, accrued_through)
WHERE loans.tenant_id = $1::uuid AND loans.loan_id = changed.loan_id
