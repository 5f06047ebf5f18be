-- store/issuer_keys.py: the keys of an issuer that were accepted last and not withdrawn since, as nobody's
-- events tell. Locks nothing; reads all of these events, when a worker starts and when the keys change.
SELECT subject
FROM (
    SELECT DISTINCT ON (subject) subject, action
    FROM audit_events
    WHERE
        tenant_id = %(tenant_id)s
        AND action IN ('key.accept', 'key.withdraw')
        AND details ->> 'issuer' = %(issuer)s
    ORDER BY subject ASC, event_number DESC
) AS last_of_each
WHERE action = 'key.accept'
ORDER BY subject
