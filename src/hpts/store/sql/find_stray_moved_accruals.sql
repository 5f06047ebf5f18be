-- store/verify_details.py: days that are kept for accruals which are none. Takes no lock.
SELECT moved.journal_entry_id
FROM moved_accruals AS moved
WHERE moved.tenant_id = %(tenant_id)s
    AND NOT EXISTS (
        SELECT FROM journal_entries AS entry
        WHERE entry.tenant_id = moved.tenant_id AND entry.journal_entry_id = moved.journal_entry_id
            AND entry.event_type = 'accrual'
    )
ORDER BY moved.journal_entry_id
