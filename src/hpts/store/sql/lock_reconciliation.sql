-- store/reconcile.py: the lock under which one tenant is reconciled, until the connection ends.
SELECT pg_advisory_lock(%(lock_class)s, hashtext(%(tenant_id)s))
