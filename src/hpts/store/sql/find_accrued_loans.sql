-- store/append.py, first pipeline of an accrual: loans of the batch ($2) with an unreversed accrual
-- effective on the day $3. Only loans accrued that far are looked up, so a new day costs nothing.
SELECT loans.loan_id
FROM unnest($2::uuid[]) AS wanted (loan_id)
JOIN loans ON loans.tenant_id = $1::uuid AND loans.loan_id = wanted.loan_id
WHERE loans.accrued_through >= $3::date AND EXISTS (
    SELECT FROM journal_entries AS accrual
    JOIN entry_loans ON entry_loans.tenant_id = $1::uuid AND entry_loans.loan_id = wanted.loan_id
        AND entry_loans.journal_entry_id = accrual.journal_entry_id
    WHERE accrual.tenant_id = $1::uuid AND accrual.event_type = 'accrual' AND accrual.effective_at = $3::date
        AND NOT EXISTS (
            SELECT FROM journal_entries AS reversal
            WHERE reversal.tenant_id = $1::uuid AND reversal.reverses_entry_id = accrual.journal_entry_id
        )
)
