-- store/audit.py: a privileged action, allowed or refused, of the tenant $1. Last in its transaction: the
-- trigger locks the tenant's chain of audit events until the commit, and sets number, time and hashes.
INSERT INTO audit_events (
    tenant_id, action, outcome, actor, source, subject, problem_code, trace_id, occurrences, details
)
VALUES (
    $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::integer, $10::json
)
