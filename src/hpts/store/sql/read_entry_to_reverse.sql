-- store/append.py, first pipeline of a reversal: the entry $2 and whether it was reversed before.
SELECT event_type, correlation_id, loan_id, EXISTS (
    SELECT FROM journal_entries AS reversal
    WHERE reversal.tenant_id = $1::uuid AND reversal.reverses_entry_id = $2::uuid
) AS is_reversed
FROM journal_entries
WHERE tenant_id = $1::uuid AND journal_entry_id = $2::uuid
