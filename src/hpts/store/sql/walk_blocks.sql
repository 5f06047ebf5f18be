-- store/verify_blocks.py: every block from one on in the order of the chain, by a cursor. Takes no lock.
SELECT block_number, previous_hash, entries_root, first_entry_id, entry_count, block_hash
FROM ledger_blocks
WHERE tenant_id = %(tenant_id)s AND block_number >= %(from_block)s
ORDER BY block_number
