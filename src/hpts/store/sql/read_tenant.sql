-- Whether the tenant may be served, and the database's clock in microseconds since 2000-01-01 UTC.
-- In a batch it comes after the loans are locked, so that per loan posted_at follows posting order.
SELECT status,
    ((extract(epoch FROM clock_timestamp()) - 946684800) * 1000000)::bigint AS posted_at
FROM tenants
WHERE tenant_id = $1::uuid
