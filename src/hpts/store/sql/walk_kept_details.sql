-- store/verify_details.py: every disbursement with the borrower that its loan has, and every accrual with
-- the day that is kept for it where its entry was moved, by a cursor. Takes no lock.
SELECT entry.journal_entry_id, entry.event_type, entry.details, loan.loan_id, loan.borrower_id,
    moved.accrual_date
FROM journal_entries AS entry
LEFT JOIN loans AS loan ON entry.event_type = 'disbursement' AND loan.tenant_id = entry.tenant_id
    AND loan.loan_id = entry.loan_id
LEFT JOIN moved_accruals AS moved ON moved.tenant_id = entry.tenant_id
    AND moved.journal_entry_id = entry.journal_entry_id
WHERE entry.tenant_id = %(tenant_id)s AND entry.event_type IN ('disbursement', 'accrual')
