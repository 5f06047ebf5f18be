-- store/periods.py: the tenant's newest block. Takes the lock that append_block takes: waits for the
-- batches that are committing, and whoever commits after this transaction sees what it changed.
SELECT block_number
FROM ledger_heads
WHERE tenant_id = %(tenant_id)s
FOR NO KEY UPDATE
