-- store/proofs.py: the hashes of blocks $2 to $3. Takes no lock.
SELECT block_number, block_hash
FROM ledger_blocks
WHERE tenant_id = $1::uuid AND block_number BETWEEN $2::bigint AND $3::bigint
ORDER BY block_number
