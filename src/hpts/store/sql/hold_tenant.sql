-- store/relay.py: makes this connection the one that delivers the webhooks of a tenant. Takes an advisory
-- lock for as long as the connection lives; never waits.
SELECT pg_try_advisory_lock(%(lock_class)s, hashtext(%(tenant_id)s::text))
