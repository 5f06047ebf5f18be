-- store/append.py, second pipeline: loans that the batch opens. A loan that another worker opened
-- meanwhile fails here; the batch is then retried posting by posting. In order, because each waits for
-- a worker that is opening the same loan: in any order two workers could wait for each other.
INSERT INTO loans (
    tenant_id, last_activity_at, loan_id, borrower_id, currency, principal_minor, interest_minor,
    fees_minor, accrued_through
)
SELECT $1::uuid, $2::timestamptz, loan.loan_id, loan.borrower_id, loan.currency,
    loan.principal_minor, loan.interest_minor, loan.fees_minor, loan.accrued_through
FROM unnest(
    $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::date[]
) AS loan (
    loan_id, borrower_id, currency, principal_minor, interest_minor, fees_minor, accrued_through
)
ORDER BY loan.loan_id
