-- store/relay.py: lets another relay have the tenant.
SELECT pg_advisory_unlock(%(lock_class)s, hashtext(%(tenant_id)s::text))
