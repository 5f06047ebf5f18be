-- store/append.py, first pipeline: the loans of a batch ($2), locked. A loan that somebody else has
-- locked is reported as busy, never waited for; one that does not exist has no borrower.
SELECT wanted.loan_id, loan.borrower_id, loan.currency, loan.principal_minor, loan.interest_minor,
    loan.fees_minor, loan.accrued_through,
    -- a scalar sub-select, because EXISTS may be planned as a hash of all the tenant's loans
    CASE WHEN loan.borrower_id IS NULL THEN coalesce((
        SELECT true FROM loans AS other
        WHERE other.tenant_id = $1::uuid AND other.loan_id = wanted.loan_id
    ), false) ELSE false END AS is_busy
FROM unnest($2::uuid[]) AS wanted (loan_id)
LEFT JOIN LATERAL (
    SELECT borrower_id, currency, principal_minor, interest_minor, fees_minor, accrued_through
    FROM loans
    WHERE tenant_id = $1::uuid AND loans.loan_id = wanted.loan_id
    FOR NO KEY UPDATE SKIP LOCKED
) AS loan ON true
