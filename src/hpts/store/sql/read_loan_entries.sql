-- store/reads.py: a page of the entries of the loan $2, newest first, before the entry $3; at most $4
-- of them, effective from $5 to $6, of the event type $7 (each may be NULL). Takes no lock.
-- Two index scans, one for entries of this loan alone and one for entries of many loans.
WITH page AS (
    (
        SELECT journal_entry_id, event_type, effective_at, posted_at, correlation_id,
            reverses_entry_id, actor, details
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND loan_id = $2::uuid AND journal_entry_id < $3::uuid
            AND ($5::date IS NULL OR effective_at >= $5::date)
            AND ($6::date IS NULL OR effective_at <= $6::date)
            AND ($7::text IS NULL OR event_type = $7::text)
        ORDER BY journal_entry_id DESC
        LIMIT $4::integer
    )
    UNION ALL
    (
        SELECT entry.journal_entry_id, entry.event_type, entry.effective_at, entry.posted_at,
            entry.correlation_id, entry.reverses_entry_id, entry.actor, entry.details
        FROM (
            SELECT DISTINCT journal_entry_id
            FROM entry_loans
            WHERE tenant_id = $1::uuid AND loan_id = $2::uuid AND journal_entry_id < $3::uuid
            ORDER BY journal_entry_id DESC
        ) AS touched
        CROSS JOIN LATERAL (
            SELECT journal_entry_id, event_type, effective_at, posted_at, correlation_id,
                reverses_entry_id, actor, details
            FROM journal_entries
            WHERE tenant_id = $1::uuid AND journal_entry_id = touched.journal_entry_id
            OFFSET 0
        ) AS entry
        WHERE ($5::date IS NULL OR entry.effective_at >= $5::date)
            AND ($6::date IS NULL OR entry.effective_at <= $6::date)
            AND ($7::text IS NULL OR entry.event_type = $7::text)
        ORDER BY touched.journal_entry_id DESC
        LIMIT $4::integer
    )
    ORDER BY journal_entry_id DESC
    LIMIT $4::integer
)
SELECT page.journal_entry_id, event_type, effective_at,
    ((extract(epoch FROM posted_at) - 946684800) * 1000000)::bigint,
    correlation_id, reverses_entry_id, actor, details,
    (
        SELECT max(sequence) FROM journal_lines AS line
        WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = page.journal_entry_id
    ) AS line_count
FROM page
ORDER BY page.journal_entry_id DESC
