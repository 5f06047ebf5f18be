-- store/reconcile_schedule.py: whether this connection is the one that reconciles by schedule, from now
-- until it ends.
SELECT pg_try_advisory_lock(%(election_lock)s::bigint)
