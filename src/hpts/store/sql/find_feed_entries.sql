-- store/feed.py: which entries of the ranges $2 to $3, one range a block and in the order of the chain,
-- are of the event type $4, the loan $5, effective from $6 to $7 (each may be NULL); at most $8, with
-- how many lines they have. Takes no lock.
WITH found AS (
    SELECT piece.position, entry.journal_entry_id
    FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS piece (first_id, last_id, position)
    CROSS JOIN LATERAL (
        SELECT journal_entry_id
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND journal_entry_id BETWEEN piece.first_id AND piece.last_id
            AND ($4::text IS NULL OR event_type = $4::text)
            AND ($5::uuid IS NULL OR loan_id = $5::uuid OR (loan_id IS NULL AND EXISTS (
                SELECT FROM entry_loans AS touched
                WHERE touched.tenant_id = $1::uuid AND touched.loan_id = $5::uuid
                    AND touched.journal_entry_id = journal_entries.journal_entry_id
            )))
            AND ($6::date IS NULL OR effective_at >= $6::date)
            AND ($7::date IS NULL OR effective_at <= $7::date)
        OFFSET 0
    ) AS entry
    ORDER BY piece.position, entry.journal_entry_id
    LIMIT $8::integer
)
SELECT found.journal_entry_id, (
    SELECT max(sequence) FROM journal_lines AS line
    WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = found.journal_entry_id
) AS line_count
FROM found
ORDER BY found.position, found.journal_entry_id
