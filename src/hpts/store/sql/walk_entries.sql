-- store/verify_entries.py: every entry from one on in the order of its identifier, by a
-- cursor. Takes no lock.
SELECT journal_entry_id, effective_at, posted_at, event_type, correlation_id, reverses_entry_id,
    loan_id, actor, idempotency_key, request_digest, details, reply, entry_hash
FROM journal_entries
WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= %(from_entry)s
ORDER BY journal_entry_id
