-- Whether the tenant may be served, the database's clock in microseconds since 2000-01-01 UTC, through
-- which day its books are closed, and what becomes of a posting that is effective by then.
-- In a batch it comes after the loans are locked, so that per loan posted_at follows posting order.
SELECT status,
    ((extract(epoch FROM clock_timestamp()) - 946684800) * 1000000)::bigint AS posted_at,
    (SELECT closed_through FROM ledger_heads WHERE ledger_heads.tenant_id = $1::uuid),
    late_postings
FROM tenants
WHERE tenant_id = $1::uuid
