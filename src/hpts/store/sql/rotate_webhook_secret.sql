-- store/webhooks.py: a new secret; the one before signs as well for so many hours. Locks the endpoint.
UPDATE webhook_endpoints
SET previous_sealed_secret = sealed_secret,
    previous_secret_until = clock_timestamp() + make_interval(hours => %(hours)s),
    sealed_secret = %(sealed_secret)s, revision = revision + 1
WHERE tenant_id = %(tenant_id)s AND endpoint_id = %(endpoint_id)s AND deleted_at IS NULL
RETURNING previous_secret_until
