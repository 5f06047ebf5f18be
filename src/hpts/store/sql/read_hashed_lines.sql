-- store/proofs.py: the lines of the entry $2. Takes no lock.
SELECT sequence, account_code, direction, layer, currency, amount_minor, loan_id
FROM journal_lines
WHERE tenant_id = $1::uuid AND journal_entry_id = $2::uuid
ORDER BY sequence
