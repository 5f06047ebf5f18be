-- store/admin_requests.py: whether the tenant may be served. Takes no lock.
SELECT status FROM tenants WHERE tenant_id = %(tenant_id)s
