-- store/webhooks.py: nothing is delivered there any more. The row stays. Locks the endpoint.
UPDATE webhook_endpoints
SET deleted_at = clock_timestamp(), revision = revision + 1
WHERE tenant_id = %(tenant_id)s AND endpoint_id = %(endpoint_id)s AND deleted_at IS NULL
RETURNING url
