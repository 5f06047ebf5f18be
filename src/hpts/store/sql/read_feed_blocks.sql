-- store/feed.py: the blocks from number $2 on in the order of the chain, at most $3. Takes no lock.
SELECT block_number, first_entry_id, entry_count, block_hash
FROM ledger_blocks
WHERE tenant_id = $1::uuid AND block_number >= $2::bigint
ORDER BY block_number
LIMIT $3::integer
