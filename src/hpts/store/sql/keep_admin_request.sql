-- store/admin_requests.py: keeps the reply of an administrative request with the change that it made.
INSERT INTO admin_requests (tenant_id, idempotency_key, request_digest, status, location, reply)
VALUES (%(tenant_id)s, %(idempotency_key)s, %(request_digest)s, %(status)s, %(location)s, %(reply)s)
