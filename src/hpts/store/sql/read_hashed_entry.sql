-- store/proofs.py: everything of the entry $2 that its hash covers but its lines. Takes no lock.
SELECT effective_at, posted_at, journal_entry_id, event_type, correlation_id, reverses_entry_id,
    loan_id, actor, idempotency_key, request_digest, details, reply
FROM journal_entries
WHERE tenant_id = $1::uuid AND journal_entry_id = $2::uuid
