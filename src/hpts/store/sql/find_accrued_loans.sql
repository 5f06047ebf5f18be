-- store/append.py, first pipeline of an accrual: loans of the batch ($2) with an unreversed accrual
-- effective on the day $3. Only loans accrued that far are looked up, so a new day costs nothing.
-- OFFSET 0 keeps each step a probe of a key: a plan made while the tables are small would join them.
SELECT loans.loan_id
FROM (
    SELECT day.journal_entry_id
    FROM (
        SELECT journal_entry_id
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND event_type = 'accrual' AND effective_at = $3::date
        OFFSET 0
    ) AS day
    LEFT JOIN LATERAL (
        SELECT true AS is_reversed
        FROM journal_entries AS reversal
        WHERE reversal.tenant_id = $1::uuid AND reversal.reverses_entry_id = day.journal_entry_id
        OFFSET 0
    ) AS reversal ON true
    WHERE reversal.is_reversed IS NULL
    OFFSET 0
) AS accrual
CROSS JOIN unnest($2::uuid[]) AS wanted (loan_id)
CROSS JOIN LATERAL (
    SELECT loan_id, accrued_through
    FROM loans
    WHERE loans.tenant_id = $1::uuid AND loans.loan_id = wanted.loan_id
    OFFSET 0
) AS loans
CROSS JOIN LATERAL (
    SELECT
    FROM entry_loans
    WHERE entry_loans.tenant_id = $1::uuid AND entry_loans.loan_id = wanted.loan_id
        AND entry_loans.journal_entry_id = accrual.journal_entry_id
    LIMIT 1
) AS accrued
WHERE loans.accrued_through >= $3::date
