-- Whether the tenant must come over mutual TLS. Asked by a worker that has not known it for some seconds.
SELECT requires_mtls FROM tenants WHERE tenant_id = $1::uuid
