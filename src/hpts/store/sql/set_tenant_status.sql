-- store/tenants.py: suspends a tenant or lets it work again; as hpts_owner.
UPDATE tenants SET status = %(status)s WHERE tenant_id = %(tenant_id)s
