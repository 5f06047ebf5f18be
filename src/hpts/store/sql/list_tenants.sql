-- store/tenants.py: every tenant; as hpts_owner.
SELECT tenant_id, name, status, created_at, requires_mtls FROM tenants ORDER BY created_at, tenant_id
