-- store/known_fold.py, store/reconcile_run.py: the next blocks after one, at most so many, until they have
-- so many lines. An entry of one loan has five lines at most, so only those of many are counted, by their
-- last one; all lines are read once, by what adds them. Block numbers have no gap.
WITH RECURSIVE taken AS (
    SELECT %(after_block)s::bigint AS block_number, NULL::uuid AS first_entry_id, 0 AS entry_count,
        0::bigint AS reached
    UNION ALL
    SELECT block.block_number, block.first_entry_id, block.entry_count, taken.reached + counted.lines
    FROM taken
    CROSS JOIN LATERAL (
        SELECT block_number, first_entry_id, entry_count
        FROM ledger_blocks
        WHERE tenant_id = %(tenant_id)s AND block_number = taken.block_number + 1
        OFFSET 0
    ) AS block
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE WHEN entry.loan_id IS NULL THEN (
            SELECT max(sequence) FROM journal_lines
            WHERE tenant_id = %(tenant_id)s AND journal_entry_id = entry.journal_entry_id
        ) ELSE 5 END), 0) AS lines
        FROM (
            SELECT journal_entry_id, loan_id
            FROM journal_entries
            WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= block.first_entry_id
            ORDER BY journal_entry_id
            LIMIT block.entry_count
        ) AS entry
    ) AS counted
    WHERE taken.reached < %(lines_max)s AND block.block_number <= %(after_block)s::bigint + %(blocks_max)s
)
SELECT block_number, first_entry_id, entry_count
FROM taken
WHERE first_entry_id IS NOT NULL
ORDER BY block_number
