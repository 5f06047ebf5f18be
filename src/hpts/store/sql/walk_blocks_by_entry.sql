-- store/verify_blocks.py: every block from one entry on in the order of its entries, by a
-- cursor. Takes no lock. It is
-- not the order of the chain: of two batches at work together either may append its block first.
SELECT block_number, entries_root, first_entry_id, entry_count
FROM ledger_blocks
WHERE tenant_id = %(tenant_id)s AND first_entry_id >= %(from_entry)s
ORDER BY first_entry_id, block_number
