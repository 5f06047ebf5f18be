-- store/tenants.py: every tenant; as hpts_owner.
SELECT tenant_id, name, status, created_at FROM tenants ORDER BY created_at, tenant_id
