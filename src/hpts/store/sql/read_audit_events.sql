-- store/audit_reads.py: a page of the audit events of the tenant $1, newest first, from the id $2 to just
-- before $3, at most $4; of the action $5, the outcome $6, the actor $7 (each may be NULL). Takes no lock.
SELECT audit_event_id, event_number,
    ((extract(epoch FROM recorded_at) - 946684800) * 1000000)::bigint,
    action, outcome, actor, source, subject, problem_code, trace_id, occurrences, details
FROM audit_events
WHERE tenant_id = $1::uuid AND audit_event_id >= $2::uuid AND audit_event_id < $3::uuid
    AND ($5::text IS NULL OR action = $5::text)
    AND ($6::text IS NULL OR outcome = $6::text)
    AND ($7::text IS NULL OR actor = $7::text)
ORDER BY audit_event_id DESC
LIMIT $4::integer
