-- store/relay.py: everything up to this place is delivered, or stands in webhook_deliveries. Locks the
-- cursor; never moves it back.
UPDATE webhook_cursors
SET block_number = %(block_number)s, entry_count = %(entry_count)s, block_hash = %(block_hash)s,
    moved_at = clock_timestamp()
WHERE tenant_id = %(tenant_id)s AND endpoint_id = %(endpoint_id)s
    AND (block_number, entry_count) < (%(block_number)s, %(entry_count)s)
