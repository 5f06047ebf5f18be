-- store/reconcile_run.py: the tenant's last block, and the entries of the blocks after one.
SELECT coalesce(max(block_number), 0),
    coalesce(sum(entry_count) FILTER (WHERE block_number > %(after_block)s), 0)
FROM ledger_blocks
WHERE tenant_id = %(tenant_id)s AND block_number >= %(after_block)s
