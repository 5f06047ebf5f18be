-- store/accounting_reads.py: the lines of the entries $2 on the account $3 in the currency $4 and layer
-- $5, entry by entry in their order; columns as in read_lines. Takes no lock.
SELECT line.journal_entry_id, line.sequence, line.account_code, line.direction, line.amount_minor,
    line.currency, line.layer, line.loan_id, loan.borrower_id
FROM unnest($2::uuid[]) AS wanted (journal_entry_id)
CROSS JOIN LATERAL (
    SELECT journal_entry_id, sequence, account_code, direction, amount_minor, currency, layer, loan_id
    FROM journal_lines
    WHERE tenant_id = $1::uuid AND journal_entry_id = wanted.journal_entry_id
        AND account_code = $3::smallint AND currency = $4::text AND layer = $5::"char"
    OFFSET 0
) AS line
LEFT JOIN LATERAL (
    SELECT borrower_id FROM loans
    WHERE tenant_id = $1::uuid AND loans.loan_id = line.loan_id
    OFFSET 0
) AS loan ON true
ORDER BY line.journal_entry_id, line.sequence
