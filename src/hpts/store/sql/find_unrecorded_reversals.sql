-- store/verify_audit.py: reversals that were posted since there are audit events and have none of their own,
-- the first of them. Takes no lock.
SELECT entry.journal_entry_id
FROM journal_entries AS entry
WHERE entry.tenant_id = %(tenant_id)s AND entry.reverses_entry_id IS NOT NULL
    AND entry.posted_at > (
        SELECT applied_at FROM schema_migrations WHERE name = '0010_create_audit_events.sql'
    )
    AND NOT EXISTS (
        SELECT FROM audit_events AS event
        WHERE event.tenant_id = %(tenant_id)s AND event.action = 'reversal.post'
            AND event.outcome = 'allowed' AND event.subject = entry.reverses_entry_id::text
    )
ORDER BY entry.journal_entry_id
LIMIT 1
