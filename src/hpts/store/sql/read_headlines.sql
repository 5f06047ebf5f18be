-- store/feed.py, the relay: the entries of the ranges $2 to $3 (see find_feed_entries), at most $4, each
-- with its loans. Takes no lock.
SELECT entry.journal_entry_id, event_type,
    ((extract(epoch FROM posted_at) - 946684800) * 1000000)::bigint, correlation_id,
    coalesce(entry.loan_id::text, touched.loan_ids)
FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS piece (first_id, last_id, position)
CROSS JOIN LATERAL (
    SELECT journal_entry_id, event_type, posted_at, correlation_id, loan_id
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND journal_entry_id BETWEEN piece.first_id AND piece.last_id
    OFFSET 0
) AS entry
LEFT JOIN LATERAL (
    SELECT array_to_string(array_agg(DISTINCT loan_id), ',') AS loan_ids
    FROM journal_lines
    WHERE tenant_id = $1::uuid AND journal_entry_id = entry.journal_entry_id
        AND loan_id IS NOT NULL
) AS touched ON entry.loan_id IS NULL
ORDER BY piece.position, entry.journal_entry_id
LIMIT $4::integer
