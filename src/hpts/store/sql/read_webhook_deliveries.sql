-- store/webhooks.py: deliveries of the endpoint $2 that did not go through at once, newest place in the
-- chain first, before the place $3, $4; at most $5, of the status $6 (may be NULL). Takes no lock.
SELECT journal_entry_id, block_number, place, status, attempt_count,
    ((extract(epoch FROM first_attempt_at) - 946684800) * 1000000)::bigint,
    ((extract(epoch FROM last_attempt_at) - 946684800) * 1000000)::bigint,
    ((extract(epoch FROM next_attempt_at) - 946684800) * 1000000)::bigint,
    response_status, error
FROM webhook_deliveries
WHERE tenant_id = $1::uuid AND endpoint_id = $2::uuid
    AND (block_number, place) < ($3::bigint, $4::integer)
    AND ($6::text IS NULL OR status = $6::text)
ORDER BY block_number DESC, place DESC
LIMIT $5::integer
