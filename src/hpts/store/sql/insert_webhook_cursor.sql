-- store/webhooks.py: a new endpoint hears of what is posted from now on. Takes no lock.
INSERT INTO webhook_cursors (tenant_id, endpoint_id, block_number, entry_count, block_hash)
SELECT %(tenant_id)s, %(endpoint_id)s, coalesce(newest.block_number, 0),
    coalesce(newest.entry_count, 0), coalesce(substr(newest.block_hash, 1, 8), '\x0000000000000000')
FROM (SELECT 1) AS always
LEFT JOIN LATERAL (
    SELECT block_number, entry_count, block_hash
    FROM ledger_blocks
    WHERE tenant_id = %(tenant_id)s
    ORDER BY block_number DESC
    LIMIT 1
) AS newest ON true
