-- store/wire.py: the first stripe of account totals that no other connection holds. The session's
-- advisory lock keeps it until the connection ends.
SELECT candidate.stripe
FROM generate_series(0, 1023) AS candidate (stripe)
WHERE pg_try_advisory_lock(%(lock_class)s, candidate.stripe)
LIMIT 1
