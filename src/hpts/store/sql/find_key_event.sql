-- Whether an action with a key is recorded already. `hpts dev` asks when it starts, of nobody's events;
-- it locks nothing.
SELECT 1
FROM audit_events
WHERE tenant_id = %(tenant_id)s AND action = %(action)s AND subject = %(subject)s
LIMIT 1
