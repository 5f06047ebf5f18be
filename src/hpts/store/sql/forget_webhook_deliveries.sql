-- store/relay.py: forgets what was delivered after all, some days later: those of the first ones in the
-- chain that are so old. Answers how many. Locks what it deletes. In steps, because other deliveries wait
-- meanwhile, and a statement that takes too long would never get anything done.
WITH oldest AS (
    SELECT journal_entry_id, last_attempt_at
    FROM webhook_deliveries
    WHERE tenant_id = %(tenant_id)s AND endpoint_id = %(endpoint_id)s AND status = 'delivered'
    ORDER BY block_number, place
    LIMIT %(count)s
), forgotten AS (
    DELETE FROM webhook_deliveries AS delivery
    USING oldest
    WHERE delivery.tenant_id = %(tenant_id)s AND delivery.endpoint_id = %(endpoint_id)s
        AND delivery.journal_entry_id = oldest.journal_entry_id
        AND oldest.last_attempt_at < clock_timestamp() - make_interval(days => %(days)s)
    RETURNING delivery.journal_entry_id
)
SELECT count(*) FROM forgotten
