-- store/webhooks.py: a new endpoint, unless the tenant has %(endpoints_max)s already. Takes a lock on the
-- tenant's head, so that two at once are counted.
WITH head AS (
    SELECT tenant_id FROM ledger_heads WHERE tenant_id = %(tenant_id)s FOR UPDATE
)
INSERT INTO webhook_endpoints (
    tenant_id, endpoint_id, url, event_types, sealed_secret, created_by
)
SELECT head.tenant_id, %(endpoint_id)s, %(url)s, %(event_types)s, %(sealed_secret)s, %(created_by)s
FROM head
WHERE (
    SELECT count(*) FROM webhook_endpoints
    WHERE tenant_id = %(tenant_id)s AND deleted_at IS NULL
) < %(endpoints_max)s
RETURNING created_at
