-- store/append.py, first pipeline: what was posted under the keys before. Takes no lock; must follow
-- claim_keys, so that its snapshot sees whatever the claimed keys' last holders committed. OFFSET 0
-- keeps it a probe a key: among many small tenants a plan would read all entries of the tenant.
SELECT earlier.idempotency_key, earlier.request_digest, earlier.reply, earlier.journal_entry_id
FROM unnest($2::text[]) AS wanted (idempotency_key)
CROSS JOIN LATERAL (
    SELECT idempotency_key, request_digest, reply, journal_entry_id
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND journal_entries.idempotency_key = wanted.idempotency_key
    OFFSET 0
) AS earlier
