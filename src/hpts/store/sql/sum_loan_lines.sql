-- store/reads.py: what the entries effective by the day $3, and before the identifier $4, add up to for
-- the loan $2, by account, with the newest posting among them. Takes no lock. OFFSET 0 keeps the lines
-- a probe per entry.
WITH counted AS (
    SELECT entry.posted_at, line.account_code, line.layer, line.direction, line.amount_minor
    FROM journal_entries AS entry
    CROSS JOIN LATERAL (
        SELECT account_code, layer, direction, amount_minor
        FROM journal_lines
        WHERE tenant_id = $1::uuid AND journal_entry_id = entry.journal_entry_id
            AND loan_id = $2::uuid
        OFFSET 0
    ) AS line
    WHERE entry.tenant_id = $1::uuid AND entry.loan_id = $2::uuid AND entry.effective_at <= $3::date
        AND entry.journal_entry_id < $4::uuid
    UNION ALL
    SELECT entry.posted_at, line.account_code, line.layer, line.direction, line.amount_minor
    FROM entry_loans AS touched
    CROSS JOIN LATERAL (
        SELECT posted_at, effective_at
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND journal_entry_id = touched.journal_entry_id
        OFFSET 0
    ) AS entry
    CROSS JOIN LATERAL (
        SELECT account_code, layer, direction, amount_minor
        FROM journal_lines
        WHERE tenant_id = $1::uuid AND journal_entry_id = touched.journal_entry_id
            AND sequence = touched.sequence
        OFFSET 0
    ) AS line
    WHERE touched.tenant_id = $1::uuid AND touched.loan_id = $2::uuid
        AND touched.journal_entry_id < $4::uuid
        AND entry.effective_at <= $3::date
)
SELECT account_code,
    coalesce(sum(CASE direction WHEN 'D' THEN amount_minor ELSE -amount_minor END)
        FILTER (WHERE layer = 'S'), 0) AS owed_minor,
    ((extract(epoch FROM max(posted_at)) - 946684800) * 1000000)::bigint AS last_posted_at
FROM counted
GROUP BY account_code
