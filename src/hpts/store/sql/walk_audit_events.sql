-- store/verify_audit.py: every audit event of a tenant in the order of its chain. Takes no lock.
SELECT event_number, audit_event_id, previous_hash, event_hash, recorded_at, occurrences, recorded_by, action,
    outcome, actor, source, subject, problem_code, trace_id, details
FROM audit_events
WHERE tenant_id = %(tenant_id)s
ORDER BY event_number, audit_event_id
