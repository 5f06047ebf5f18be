-- store/relay.py: forgets what was delivered after all, some days later. Locks what it deletes.
DELETE FROM webhook_deliveries
WHERE tenant_id = %(tenant_id)s AND endpoint_id = %(endpoint_id)s AND status = 'delivered'
    AND last_attempt_at < clock_timestamp() - make_interval(days => %(days)s)
