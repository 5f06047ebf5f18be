-- store/admin_requests.py: claims an idempotency key, hashed as a posting's is, and reads whether the
-- tenant may be served. Takes an advisory lock until the end of the transaction; never waits.
SELECT status, pg_try_advisory_xact_lock(%(key_hash)s) AS is_claimed
FROM tenants
WHERE tenant_id = %(tenant_id)s
