-- store/append.py, second pipeline: the entries of a batch, a parameter a column.
INSERT INTO journal_entries (
    tenant_id, posted_at, journal_entry_id, event_type, effective_at, correlation_id,
    reverses_entry_id, loan_id, actor, idempotency_key, request_digest, details, reply, entry_hash
)
SELECT $1::uuid, $2::timestamptz, entry.journal_entry_id, entry.event_type, entry.effective_at,
    entry.correlation_id, entry.reverses_entry_id, entry.loan_id, entry.actor,
    entry.idempotency_key, entry.request_digest, entry.details::json, entry.reply, entry.entry_hash
FROM unnest(
    $3::uuid[], $4::text[], $5::date[], $6::uuid[], $7::uuid[], $8::uuid[], $9::text[],
    $10::text[], $11::bytea[], $12::text[], $13::bytea[], $14::bytea[]
) AS entry (
    journal_entry_id, event_type, effective_at, correlation_id, reverses_entry_id, loan_id, actor,
    idempotency_key, request_digest, details, reply, entry_hash
)
