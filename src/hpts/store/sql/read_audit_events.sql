-- store/audit_reads.py: a page of the audit events of the tenant $1, newest first, from the id $2 to just
-- before $3, at most $4; of the action $5, the outcome $6, the actor $7 (each may be NULL), among the newest
-- $8. The first column is the last of those where there are so many, else NULL; there is always a row, one
-- without an event where none fits. Takes no lock.
WITH searched AS MATERIALIZED (
    SELECT audit_event_id, event_number, recorded_at, action, outcome, actor, source, subject,
        problem_code, trace_id, occurrences, details
    FROM audit_events
    WHERE tenant_id = $1::uuid AND audit_event_id >= $2::uuid AND audit_event_id < $3::uuid
    ORDER BY audit_event_id DESC
    LIMIT $8::integer
)
SELECT reached.audit_event_id, event.audit_event_id, event_number,
    ((extract(epoch FROM recorded_at) - 946684800) * 1000000)::bigint,
    action, outcome, actor, source, subject, problem_code, trace_id, occurrences, details
FROM (
    SELECT (
        SELECT audit_event_id FROM searched ORDER BY audit_event_id DESC OFFSET $8::integer - 1 LIMIT 1
    ) AS audit_event_id
) AS reached
LEFT JOIN LATERAL (
    SELECT audit_event_id, event_number, recorded_at, action, outcome, actor, source, subject,
        problem_code, trace_id, occurrences, details
    FROM searched
    WHERE ($5::text IS NULL OR action = $5::text)
        AND ($6::text IS NULL OR outcome = $6::text)
        AND ($7::text IS NULL OR actor = $7::text)
    ORDER BY audit_event_id DESC
    LIMIT $4::integer
) AS event ON true
ORDER BY event.audit_event_id DESC
