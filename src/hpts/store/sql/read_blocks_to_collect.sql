-- store/bank_ledger.py: the next blocks after one, in the order of the chain. Takes no lock.
SELECT block_number, first_entry_id, entry_count
FROM ledger_blocks
WHERE tenant_id = %(tenant_id)s AND block_number > %(block_number)s
ORDER BY block_number
LIMIT %(count)s
