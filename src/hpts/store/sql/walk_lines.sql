-- store/verify_entries.py: every line from one entry on, entry by entry in their order, by a
-- cursor. Takes no lock.
SELECT journal_entry_id, sequence, account_code, direction, layer, currency, amount_minor, loan_id
FROM journal_lines
WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= %(from_entry)s
ORDER BY journal_entry_id, sequence
