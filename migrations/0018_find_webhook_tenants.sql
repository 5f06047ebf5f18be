-- Each relay asks once a second which tenants there is something to deliver for. Most tenants have no endpoint.

CREATE INDEX webhook_endpoints_in_use ON webhook_endpoints (tenant_id) WHERE deleted_at IS NULL;
CREATE POLICY owner_finds_webhook_tenants ON webhook_endpoints FOR SELECT TO hpts_owner USING (true);

-- hpts_app sees one tenant at a time.
CREATE FUNCTION webhook_tenants() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
    AS $$
        SELECT tenant_id FROM tenants
        WHERE status = 'active' AND tenant_id IN (
            SELECT tenant_id FROM webhook_endpoints WHERE deleted_at IS NULL
        )
    $$;
REVOKE ALL ON FUNCTION webhook_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION webhook_tenants() TO hpts_app;
