-- store/verify_bank.py: the first cash line of a bank account that is not what the ledger has, or that is
-- missing though its block was taken over. Reads all lines of the accounts' ledger accounts. Takes no lock.
SELECT 'bank_items L ' || journal_entry_id || ' ' || sequence
FROM (
    SELECT line.journal_entry_id, line.sequence::integer, bank_account_ref, entry.effective_at AS item_date,
        CASE line.direction WHEN 'D' THEN line.amount_minor ELSE -line.amount_minor END AS amount_minor,
        taken.block_number
    FROM bank_accounts AS account
    JOIN bank_cursors AS taken USING (tenant_id, bank_account_ref)
    JOIN journal_lines AS line USING (tenant_id, account_code, currency)
    JOIN journal_entries AS entry USING (tenant_id, journal_entry_id)
    WHERE account.tenant_id = %(tenant_id)s AND line.layer = 'S'
) AS posted
FULL JOIN (
    SELECT source_id AS journal_entry_id, sequence, bank_account_ref, item_date, amount_minor,
        true AS is_copied
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s AND side = 'L'
) AS copied USING (journal_entry_id, sequence, bank_account_ref, item_date, amount_minor)
WHERE posted.block_number IS NULL
    OR is_copied IS NULL AND posted.block_number >= (
        SELECT block.block_number
        FROM ledger_blocks AS block
        WHERE block.tenant_id = %(tenant_id)s AND block.first_entry_id <= journal_entry_id
        ORDER BY block.first_entry_id DESC
        LIMIT 1
    )
ORDER BY journal_entry_id, sequence
LIMIT 1
