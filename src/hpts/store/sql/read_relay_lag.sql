-- store/vital_signs.py: how far the tenant's slowest webhook endpoint is behind the chain, since when (the
-- first entry of the next block, whose identifier has its time), and what is not delivered. No row without
-- an endpoint. Takes no lock. Their order costs nothing and makes it a probe a status, past all that was
-- delivered.
SELECT head.block_number - slowest.block_number, next.first_entry_id,
    extract(epoch FROM clock_timestamp())::float8, waiting.retrying, waiting.parked
FROM (
    SELECT min(place.block_number) AS block_number
    FROM webhook_endpoints AS endpoint
    JOIN webhook_cursors AS place ON place.tenant_id = %(tenant_id)s
        AND place.endpoint_id = endpoint.endpoint_id
    WHERE endpoint.tenant_id = %(tenant_id)s AND endpoint.deleted_at IS NULL
) AS slowest
JOIN ledger_heads AS head ON head.tenant_id = %(tenant_id)s
LEFT JOIN ledger_blocks AS next ON next.tenant_id = %(tenant_id)s
    AND next.block_number = slowest.block_number + 1
CROSS JOIN (
    SELECT count(*) FILTER (WHERE wanted.status <> 'parked') AS retrying,
        count(*) FILTER (WHERE wanted.status = 'parked') AS parked
    FROM webhook_endpoints AS endpoint
    CROSS JOIN unnest(ARRAY['retrying', 'held', 'parked']) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT FROM webhook_deliveries AS delivery
        WHERE delivery.tenant_id = %(tenant_id)s AND delivery.endpoint_id = endpoint.endpoint_id
            AND delivery.status = wanted.status
        ORDER BY delivery.block_number, delivery.place
        OFFSET 0
    ) AS undelivered
    WHERE endpoint.tenant_id = %(tenant_id)s AND endpoint.deleted_at IS NULL
) AS waiting
WHERE slowest.block_number IS NOT NULL
