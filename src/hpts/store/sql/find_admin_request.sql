-- store/admin_requests.py: what was done under the key before, an administrative request or a posting
-- (which has another digest). Takes no lock; must follow claim_admin_key, so that its snapshot sees
-- whatever the key's last holder committed.
SELECT request_digest, status, reply, location
FROM admin_requests
WHERE tenant_id = %(tenant_id)s AND idempotency_key = %(idempotency_key)s
UNION ALL
SELECT request_digest, 201, reply, ''
FROM journal_entries
WHERE tenant_id = %(tenant_id)s AND idempotency_key = %(idempotency_key)s
