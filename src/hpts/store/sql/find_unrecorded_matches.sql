-- store/verify_bank.py: the first match made by hand, or undone, of which no audit event tells. Takes no
-- lock.
SELECT 'bank_matches ' || match_id
FROM (
    SELECT match_id, 'bank_match.make' AS action
    FROM bank_matches
    WHERE tenant_id = %(tenant_id)s AND rule = 'manual'
    UNION ALL
    SELECT match_id, 'bank_match.undo'
    FROM bank_match_undos
    WHERE tenant_id = %(tenant_id)s
) AS decided
WHERE NOT EXISTS (
    SELECT FROM audit_events AS event
    WHERE event.tenant_id = %(tenant_id)s AND event.action = decided.action AND event.outcome = 'allowed'
        AND event.subject = decided.match_id::text
)
ORDER BY match_id
LIMIT 1
