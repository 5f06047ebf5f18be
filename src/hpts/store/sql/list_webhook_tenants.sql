-- store/relay.py: tenants that are served and have webhook endpoints; nothing else of them is seen. Takes no
-- lock.
SELECT tenant_id FROM webhook_tenants() AS tenant_id
