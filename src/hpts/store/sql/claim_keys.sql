-- store/append.py, first pipeline: shows the transaction the rows of the tenant $1 and no others, and
-- tells which idempotency keys ($2, hashed) somebody else works on now, by position from 1. Takes
-- advisory locks until the end of the transaction; never waits.
SELECT set_config('hpts.tenant_id', $1::text, true), ARRAY(
    SELECT claimed.position
    FROM unnest($2::bigint[]) WITH ORDINALITY AS claimed (key_hash, position)
    WHERE NOT pg_try_advisory_xact_lock(claimed.key_hash)
) AS in_use
