-- store/verify_blocks.py: where the tenant's chain ends. Takes no lock.
SELECT block_number, previous_hash, block_hash
FROM ledger_heads
WHERE tenant_id = %(tenant_id)s
