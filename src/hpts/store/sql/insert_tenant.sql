-- store/tenants.py: a new tenant; as hpts_owner.
INSERT INTO tenants (tenant_id, name, requires_mtls) VALUES (%(tenant_id)s, %(name)s, %(requires_mtls)s)
