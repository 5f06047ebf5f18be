-- store/feed.py: the entries $2 in the order of $2, columns as in read_loan_entries. Takes no lock.
SELECT entry.journal_entry_id, event_type, effective_at,
    ((extract(epoch FROM posted_at) - 946684800) * 1000000)::bigint,
    correlation_id, reverses_entry_id, actor, details, 0 AS line_count
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (journal_entry_id, position)
CROSS JOIN LATERAL (
    SELECT journal_entry_id, event_type, effective_at, posted_at, correlation_id, reverses_entry_id,
        actor, details
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND journal_entry_id = wanted.journal_entry_id
    OFFSET 0
) AS entry
ORDER BY wanted.position
