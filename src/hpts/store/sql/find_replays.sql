-- store/append.py, first pipeline: what was posted under the keys before. Takes no lock; must follow
-- claim_keys, so that its snapshot sees whatever the claimed keys' last holders committed.
SELECT idempotency_key, request_digest, reply, journal_entry_id
FROM journal_entries
WHERE tenant_id = $1::uuid AND idempotency_key = ANY ($2::text[])
