-- store/relay.py: what became of an attempt that did not go through at once. Locks the delivery.
INSERT INTO webhook_deliveries AS kept (
    tenant_id, endpoint_id, journal_entry_id, block_number, place, status, attempt_count,
    first_attempt_at, last_attempt_at, next_attempt_at, response_status, error
)
VALUES (
    %(tenant_id)s, %(endpoint_id)s, %(journal_entry_id)s, %(block_number)s, %(place)s, %(status)s,
    %(attempt_count)s, to_timestamp(%(first_attempt_at)s), to_timestamp(%(last_attempt_at)s),
    to_timestamp(%(next_attempt_at)s), %(response_status)s, %(error)s
)
ON CONFLICT ON CONSTRAINT webhook_delivery_stands_once DO UPDATE
SET status = excluded.status, attempt_count = excluded.attempt_count,
    first_attempt_at = excluded.first_attempt_at,
    last_attempt_at = coalesce(excluded.last_attempt_at, kept.last_attempt_at),
    next_attempt_at = excluded.next_attempt_at,
    response_status = coalesce(excluded.response_status, kept.response_status),
    error = coalesce(excluded.error, kept.error)
