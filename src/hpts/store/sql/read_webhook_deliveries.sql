-- store/webhooks.py: deliveries of the endpoint $2 that did not go through at once, newest place in the
-- chain first, before the place $3, $4; at most $5, of the status $6 (may be NULL). Takes no lock. A probe
-- a status: what is parked is found without reading what was delivered.
SELECT found.journal_entry_id, found.block_number, found.place, found.status, found.attempt_count,
    ((extract(epoch FROM found.first_attempt_at) - 946684800) * 1000000)::bigint,
    ((extract(epoch FROM found.last_attempt_at) - 946684800) * 1000000)::bigint,
    ((extract(epoch FROM found.next_attempt_at) - 946684800) * 1000000)::bigint,
    found.response_status, found.error
FROM unnest(ARRAY['retrying', 'held', 'parked', 'delivered']) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT journal_entry_id, block_number, place, status, attempt_count, first_attempt_at,
        last_attempt_at, next_attempt_at, response_status, error
    FROM webhook_deliveries
    WHERE tenant_id = $1::uuid AND endpoint_id = $2::uuid AND webhook_deliveries.status = wanted.status
        AND (block_number, place) < ($3::bigint, $4::integer)
    ORDER BY block_number DESC, place DESC
    LIMIT $5::integer
) AS found
WHERE $6::text IS NULL OR wanted.status = $6::text
ORDER BY found.block_number DESC, found.place DESC
LIMIT $5::integer
