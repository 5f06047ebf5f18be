-- store/feed.py: the last block, columns as in read_feed_blocks. Takes no lock.
SELECT block_number, first_entry_id, entry_count, block_hash
FROM ledger_blocks
WHERE tenant_id = $1::uuid
ORDER BY block_number DESC
LIMIT 1
