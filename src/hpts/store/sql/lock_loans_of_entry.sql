-- store/append.py, first pipeline of a reversal: the loans of the entry $2, locked as in await_loans.
SELECT wanted.loan_id, loan.borrower_id, loan.currency, loan.principal_minor, loan.interest_minor,
    loan.fees_minor, loan.accrued_through
FROM (
    SELECT DISTINCT loan_id
    FROM journal_lines
    WHERE tenant_id = $1::uuid AND journal_entry_id = $2::uuid AND loan_id IS NOT NULL
    ORDER BY loan_id
    OFFSET 0
) AS wanted
CROSS JOIN LATERAL (
    SELECT borrower_id, currency, principal_minor, interest_minor, fees_minor, accrued_through
    FROM loans
    WHERE tenant_id = $1::uuid AND loans.loan_id = wanted.loan_id
    FOR NO KEY UPDATE
) AS loan
