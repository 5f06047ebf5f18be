-- store/known_fold.py: the blocks after one, at most so many, each with the number of its lines.
SELECT block.block_number, block.first_entry_id, block.entry_count, (
    SELECT count(*)
    FROM (
        SELECT journal_entry_id
        FROM journal_entries
        WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= block.first_entry_id
        ORDER BY journal_entry_id
        LIMIT block.entry_count
    ) AS entry
    CROSS JOIN LATERAL (
        SELECT FROM journal_lines
        WHERE tenant_id = %(tenant_id)s AND journal_entry_id = entry.journal_entry_id
        OFFSET 0
    ) AS line
) AS line_count
FROM ledger_blocks AS block
WHERE block.tenant_id = %(tenant_id)s AND block.block_number > %(after_block)s
ORDER BY block.block_number
LIMIT %(blocks_max)s
