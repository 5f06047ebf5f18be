-- store/loan_reads.py: what each of the loans $2 owes now. Takes no lock. OFFSET 0 keeps it a probe a
-- loan, however many are asked for.
SELECT loan.loan_id, loan.currency, loan.principal_minor, loan.interest_minor, loan.fees_minor,
    loan.last_activity_at
FROM unnest($2::uuid[]) AS wanted (loan_id)
CROSS JOIN LATERAL (
    SELECT loan_id, currency, principal_minor, interest_minor, fees_minor, last_activity_at
    FROM loans
    WHERE tenant_id = $1::uuid AND loans.loan_id = wanted.loan_id
    OFFSET 0
) AS loan
