-- store/verify_totals.py: every disbursement with the borrower that its loan has, by a cursor. Takes no
-- lock.
SELECT entry.journal_entry_id, entry.details, loan.loan_id, loan.borrower_id
FROM journal_entries AS entry
LEFT JOIN loans AS loan ON loan.tenant_id = entry.tenant_id AND loan.loan_id = entry.loan_id
WHERE entry.tenant_id = %(tenant_id)s AND entry.event_type = 'disbursement'
