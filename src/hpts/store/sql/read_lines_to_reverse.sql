-- store/append.py, first pipeline of a reversal: the lines of the entry $2 in their order.
SELECT account_code, direction, layer, currency, amount_minor, loan_id
FROM journal_lines
WHERE tenant_id = $1::uuid AND journal_entry_id = $2::uuid
ORDER BY sequence
