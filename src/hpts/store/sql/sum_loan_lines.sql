-- store/reads.py: what the entries effective by the day $3 add up to for the loan $2, by account,
-- with the newest posting among them. Takes no lock.
WITH counted AS (
    SELECT entry.posted_at, line.account_code, line.layer, line.direction, line.amount_minor
    FROM journal_entries AS entry
    JOIN journal_lines AS line ON line.tenant_id = $1::uuid
        AND line.journal_entry_id = entry.journal_entry_id AND line.loan_id = $2::uuid
    WHERE entry.tenant_id = $1::uuid AND entry.loan_id = $2::uuid AND entry.effective_at <= $3::date
    UNION ALL
    SELECT entry.posted_at, line.account_code, line.layer, line.direction, line.amount_minor
    FROM entry_loans AS touched
    JOIN journal_entries AS entry ON entry.tenant_id = $1::uuid
        AND entry.journal_entry_id = touched.journal_entry_id AND entry.effective_at <= $3::date
    JOIN journal_lines AS line ON line.tenant_id = $1::uuid
        AND line.journal_entry_id = touched.journal_entry_id AND line.sequence = touched.sequence
    WHERE touched.tenant_id = $1::uuid AND touched.loan_id = $2::uuid
)
SELECT account_code,
    coalesce(sum(CASE direction WHEN 'D' THEN amount_minor ELSE -amount_minor END)
        FILTER (WHERE layer = 'S'), 0) AS owed_minor,
    ((extract(epoch FROM max(posted_at)) - 946684800) * 1000000)::bigint AS last_posted_at
FROM counted
GROUP BY account_code
