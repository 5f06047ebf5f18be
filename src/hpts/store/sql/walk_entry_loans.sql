-- store/verify_entries.py: the map rows of entries of many loans, entry by entry, by a cursor.
-- Takes no lock. No index has this order: PostgreSQL sorts, on disk where memory is short.
SELECT journal_entry_id, sequence, loan_id, outstanding_principal_minor
FROM entry_loans
WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= %(from_entry)s
ORDER BY journal_entry_id, sequence
