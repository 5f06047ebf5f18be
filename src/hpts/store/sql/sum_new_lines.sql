-- store/reconcile_lines.py: as sum_all_lines, of the blocks after one, through another. The entries of a
-- block have consecutive identifiers; OFFSET 0 keeps the planner from joining the tables another way round.
SELECT line.account_code, line.currency, line.layer, entry.effective_at,
    coalesce(sum(line.amount_minor) FILTER (WHERE line.direction = 'D'), 0) AS debit,
    coalesce(sum(line.amount_minor) FILTER (WHERE line.direction = 'C'), 0) AS credit
FROM ledger_blocks AS block
CROSS JOIN LATERAL (
    SELECT journal_entry_id, effective_at
    FROM journal_entries
    WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= block.first_entry_id
    ORDER BY journal_entry_id
    LIMIT block.entry_count
) AS entry
CROSS JOIN LATERAL (
    SELECT account_code, currency, layer, direction, amount_minor
    FROM journal_lines
    WHERE tenant_id = %(tenant_id)s AND journal_entry_id = entry.journal_entry_id
    OFFSET 0
) AS line
WHERE block.tenant_id = %(tenant_id)s AND block.block_number > %(after_block)s
    AND block.block_number <= %(through_block)s
GROUP BY line.account_code, line.currency, line.layer, entry.effective_at
