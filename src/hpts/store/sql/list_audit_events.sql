-- store/audit_list.py: the newest audit events, at most %(count)s, of all tenants and of nobody or of one,
-- recorded at or after %(since)s (both may be NULL); as hpts_owner, whom a policy lets read all.
SELECT tenant_id, event_number, audit_event_id, recorded_at, recorded_by, action, outcome, actor, source,
    subject, problem_code, trace_id, occurrences, details::text
FROM audit_events
WHERE (%(tenant_id)s::uuid IS NULL OR tenant_id = %(tenant_id)s::uuid)
    AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s::timestamptz)
ORDER BY recorded_at DESC, tenant_id, event_number DESC
LIMIT %(count)s::integer
