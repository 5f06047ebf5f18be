-- As enter_tenant, for the ordinary connections of store/tenants.py.
SELECT set_config('hpts.tenant_id', %(tenant_id)s::text, true)
