-- store/accounting_reads.py: the loan $2 and its newest entry. A loan's entries are committed in the order
-- of their identifiers, because its row is locked for each. Takes no lock.
SELECT loan.borrower_id, loan.currency, greatest(
    (
        SELECT journal_entry_id
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND loan_id = $2::uuid
        ORDER BY journal_entry_id DESC
        LIMIT 1
    ),
    (
        SELECT journal_entry_id
        FROM entry_loans
        WHERE tenant_id = $1::uuid AND loan_id = $2::uuid
        ORDER BY journal_entry_id DESC
        LIMIT 1
    )
) AS newest_entry_id
FROM loans AS loan
WHERE loan.tenant_id = $1::uuid AND loan.loan_id = $2::uuid
