-- store/webhooks.py: the tenant's endpoints, oldest first, with their cursors; where $2 is not NULL only
-- that one. Takes no lock.
SELECT endpoint.endpoint_id, url, array_to_json(event_types),
    encode(sealed_secret, 'hex'), encode(previous_sealed_secret, 'hex'),
    ((extract(epoch FROM previous_secret_until) - 946684800) * 1000000)::bigint,
    ((extract(epoch FROM created_at) - 946684800) * 1000000)::bigint,
    created_by, revision, block_number, entry_count, encode(block_hash, 'hex'),
    ((extract(epoch FROM moved_at) - 946684800) * 1000000)::bigint
FROM webhook_endpoints AS endpoint
CROSS JOIN LATERAL (
    SELECT block_number, entry_count, block_hash, moved_at
    FROM webhook_cursors AS found
    WHERE found.tenant_id = $1::uuid AND found.endpoint_id = endpoint.endpoint_id
    OFFSET 0
) AS reached
WHERE endpoint.tenant_id = $1::uuid AND deleted_at IS NULL
    AND ($2::uuid IS NULL OR endpoint.endpoint_id = $2::uuid)
ORDER BY created_at, endpoint.endpoint_id
