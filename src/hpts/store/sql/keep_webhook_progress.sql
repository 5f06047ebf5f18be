-- store/relay.py: what became of attempts that did not go through at once, a column an array, and how far
-- the endpoint has come: everything up to there is delivered, or stands in webhook_deliveries. Locks the
-- deliveries and the cursor, which it never moves back.
WITH moved AS (
    UPDATE webhook_cursors
    SET block_number = %(reached_block)s, entry_count = %(reached_count)s,
        block_hash = %(reached_hash)s, moved_at = clock_timestamp()
    WHERE tenant_id = %(tenant_id)s AND endpoint_id = %(endpoint_id)s
        AND (block_number, entry_count) < (%(reached_block)s, %(reached_count)s)
)
INSERT INTO webhook_deliveries AS kept (
    tenant_id, endpoint_id, journal_entry_id, block_number, place, status, attempt_count,
    first_attempt_at, last_attempt_at, next_attempt_at, response_status, error
)
SELECT %(tenant_id)s::uuid, %(endpoint_id)s::uuid, journal_entry_id, block_number, place, status,
    attempt_count, to_timestamp(first_attempt_at), to_timestamp(last_attempt_at),
    to_timestamp(next_attempt_at), response_status, error
FROM unnest(
    %(journal_entry_id)s::uuid[], %(block_number)s::bigint[], %(place)s::integer[],
    %(status)s::text[], %(attempt_count)s::integer[], %(first_attempt_at)s::double precision[],
    %(last_attempt_at)s::double precision[], %(next_attempt_at)s::double precision[],
    %(response_status)s::smallint[], %(error)s::text[]
) AS given (
    journal_entry_id, block_number, place, status, attempt_count, first_attempt_at,
    last_attempt_at, next_attempt_at, response_status, error
)
ON CONFLICT ON CONSTRAINT webhook_delivery_stands_once DO UPDATE
SET status = excluded.status, attempt_count = excluded.attempt_count,
    first_attempt_at = excluded.first_attempt_at,
    last_attempt_at = coalesce(excluded.last_attempt_at, kept.last_attempt_at),
    next_attempt_at = excluded.next_attempt_at,
    response_status = coalesce(excluded.response_status, kept.response_status),
    error = coalesce(excluded.error, kept.error)
