-- store/reads.py: the lines of the entries $2, entry by entry in their order. Takes no lock.
SELECT line.journal_entry_id, line.sequence, line.account_code, line.direction, line.amount_minor,
    line.currency, line.layer, line.loan_id, loans.borrower_id
FROM journal_lines AS line
LEFT JOIN loans ON loans.tenant_id = $1::uuid AND loans.loan_id = line.loan_id
WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = ANY ($2::uuid[])
ORDER BY line.journal_entry_id, line.sequence
