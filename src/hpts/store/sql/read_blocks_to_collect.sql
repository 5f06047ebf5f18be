-- store/bank_ledger.py: the next blocks after one, in the order of the chain: some, with so many entries that
-- the blocks before each stay below a number. Takes no lock.
SELECT block_number, first_entry_id, entry_count
FROM (
    SELECT block_number, first_entry_id, entry_count,
        sum(entry_count) OVER (ORDER BY block_number) - entry_count AS entries_before
    FROM (
        SELECT block_number, first_entry_id, entry_count
        FROM ledger_blocks
        WHERE tenant_id = %(tenant_id)s AND block_number > %(block_number)s
        ORDER BY block_number
        LIMIT %(count)s
    ) AS following
) AS counted
WHERE entries_before < %(entry_count)s
ORDER BY block_number
