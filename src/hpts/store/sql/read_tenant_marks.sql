-- store/verify_marks.py: what operators set of a tenant. Takes no lock.
SELECT name, status, requires_mtls, late_postings
FROM tenants
WHERE tenant_id = %(tenant_id)s
