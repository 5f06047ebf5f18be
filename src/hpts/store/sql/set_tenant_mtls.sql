-- store/tenants.py: says whether a tenant must come over mutual TLS; as hpts_owner.
UPDATE tenants SET requires_mtls = %(requires_mtls)s WHERE tenant_id = %(tenant_id)s
