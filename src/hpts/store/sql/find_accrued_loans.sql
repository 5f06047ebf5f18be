-- store/append.py, first pipeline of an accrual: loans of the batch ($2) with an unreversed accrual
-- for the day $3, wherever its entry stands: one that was moved out of a closed period keeps its own
-- day in its details. Loans not accrued that far are left out first, so that a new day costs a
-- probe a loan, however many accruals the day has had. An earlier day costs a probe a loan as well,
-- and not one for each of the day's accruals: of a loan's entries those are looked at that were
-- posted from the first to the last of them. OFFSET 0 keeps each step a probe of a key: a plan made
-- while the tables are small would join them.
WITH accrual AS MATERIALIZED (
    SELECT posted.journal_entry_id
    FROM (
        SELECT journal_entry_id
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND event_type = 'accrual' AND effective_at = $3::date
            AND details ->> 'requested_effective_at' IS NULL
        UNION ALL
        SELECT journal_entry_id
        FROM moved_accruals
        WHERE tenant_id = $1::uuid AND accrual_date = $3::date
    ) AS posted
    LEFT JOIN LATERAL (
        SELECT true AS is_reversed
        FROM journal_entries AS reversal
        WHERE reversal.tenant_id = $1::uuid
            AND reversal.reverses_entry_id = posted.journal_entry_id
        OFFSET 0
    ) AS reversal ON true
    WHERE reversal.is_reversed IS NULL
)
SELECT candidate.loan_id
FROM (
    SELECT wanted.loan_id
    FROM unnest($2::uuid[]) AS wanted (loan_id)
    CROSS JOIN LATERAL (
        SELECT accrued_through
        FROM loans
        WHERE loans.tenant_id = $1::uuid AND loans.loan_id = wanted.loan_id
        OFFSET 0
    ) AS loan
    WHERE loan.accrued_through >= $3::date
    OFFSET 0
) AS candidate
CROSS JOIN LATERAL (
    SELECT
    FROM (
        SELECT journal_entry_id
        FROM entry_loans
        WHERE entry_loans.tenant_id = $1::uuid AND entry_loans.loan_id = candidate.loan_id
            AND entry_loans.journal_entry_id
                >= (SELECT journal_entry_id FROM accrual ORDER BY journal_entry_id LIMIT 1)
            AND entry_loans.journal_entry_id
                <= (SELECT journal_entry_id FROM accrual ORDER BY journal_entry_id DESC LIMIT 1)
        OFFSET 0
    ) AS touched
    -- of a CASE, or it would be a join with all of them for each loan
    WHERE CASE WHEN touched.journal_entry_id IN (SELECT journal_entry_id FROM accrual) THEN true END
    LIMIT 1
) AS accrued
