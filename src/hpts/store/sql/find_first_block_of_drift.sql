-- store/reconcile_lines.py: the first block after one that posted to an account, currency and layer, on
-- days from one to another. Walks the blocks in their order and stops at the first.
SELECT block.block_number
FROM ledger_blocks AS block
CROSS JOIN LATERAL (
    SELECT journal_entry_id, effective_at
    FROM journal_entries
    WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= block.first_entry_id
    ORDER BY journal_entry_id
    LIMIT block.entry_count
) AS entry
CROSS JOIN LATERAL (
    SELECT account_code, currency, layer
    FROM journal_lines
    WHERE tenant_id = %(tenant_id)s AND journal_entry_id = entry.journal_entry_id
    OFFSET 0
) AS line
WHERE block.tenant_id = %(tenant_id)s AND block.block_number > %(after_block)s
    AND entry.effective_at BETWEEN %(from_day)s AND %(to_day)s
    AND line.account_code = %(account_code)s AND line.currency = %(currency)s AND line.layer = %(layer)s
ORDER BY block.block_number
LIMIT 1
