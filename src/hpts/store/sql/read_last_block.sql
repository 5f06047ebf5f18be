-- store/proofs.py, store/standby.py, and store/append.py for replays: where the tenant's chain ends. Takes
-- no lock.
SELECT block_number, block_hash
FROM ledger_heads
WHERE tenant_id = $1::uuid
