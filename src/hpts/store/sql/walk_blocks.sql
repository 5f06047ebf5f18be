-- store/verify_blocks.py: every block in the order of the chain, by a cursor. Takes no lock.
SELECT block_number, previous_hash, entries_root, first_entry_id, entry_count, block_hash
FROM ledger_blocks
WHERE tenant_id = %(tenant_id)s
ORDER BY block_number
