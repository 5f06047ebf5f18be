-- store/reads.py: one entry ($2), columns as in read_loan_entries. Takes no lock.
SELECT journal_entry_id, event_type, effective_at,
    ((extract(epoch FROM posted_at) - 946684800) * 1000000)::bigint,
    correlation_id, reverses_entry_id, actor, details, 0 AS line_count
FROM journal_entries
WHERE tenant_id = $1::uuid AND journal_entry_id = $2::uuid
