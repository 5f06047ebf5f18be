-- store/append.py, first pipeline: which idempotency keys ($1, hashed) nobody else works on now.
-- Takes advisory locks until the end of the transaction; never waits.
SELECT pg_try_advisory_xact_lock(claimed.key_hash)
FROM unnest($1::bigint[]) WITH ORDINALITY AS claimed (key_hash, position)
ORDER BY claimed.position
