-- store/append.py, first pipeline of an accrual: the loans of the batch ($2), locked. Waits for the
-- busy ones, at most as long as limit_lock_waits says: of thousands of loans one is always busy. All
-- who wait lock in the order of identifiers, and payments never wait, so nobody waits in a circle.
SELECT wanted.loan_id, loan.borrower_id, loan.currency, loan.principal_minor, loan.interest_minor,
    loan.fees_minor, loan.accrued_through
FROM (
    SELECT DISTINCT named.loan_id
    FROM unnest($2::uuid[]) AS named (loan_id)
    ORDER BY named.loan_id
    OFFSET 0
) AS wanted
CROSS JOIN LATERAL (
    SELECT borrower_id, currency, principal_minor, interest_minor, fees_minor, accrued_through
    FROM loans
    WHERE tenant_id = $1::uuid AND loans.loan_id = wanted.loan_id
    FOR NO KEY UPDATE
) AS loan
