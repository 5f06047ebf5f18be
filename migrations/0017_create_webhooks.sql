-- Webhooks: where entries are announced, how far each endpoint has come in the chain, and what could not
-- be delivered at once. Nothing is written for an entry that is delivered at the first try.

CREATE TABLE webhook_endpoints (
    tenant_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    url text NOT NULL,
    -- empty: every event
    event_types text[] NOT NULL,
    -- AES-256-GCM under the key of HPTS_WEBHOOK_KEY
    sealed_secret bytea NOT NULL,
    -- the one before, which signs as well until then
    previous_sealed_secret bytea,
    previous_secret_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    deleted_at timestamptz,
    -- goes up with whatever a relay must hear of
    revision integer NOT NULL DEFAULT 1,
    CONSTRAINT webhook_endpoint_is_created_once PRIMARY KEY (tenant_id, endpoint_id),
    CONSTRAINT previous_secret_has_an_end
        CHECK ((previous_sealed_secret IS NULL) = (previous_secret_until IS NULL))
);

CREATE TABLE webhook_cursors (
    tenant_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    block_number bigint NOT NULL,
    entry_count integer NOT NULL,
    block_hash bytea NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT webhook_endpoint_has_one_cursor PRIMARY KEY (tenant_id, endpoint_id)
) WITH (fillfactor = 50);

CREATE TABLE webhook_deliveries (
    tenant_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    journal_entry_id uuid NOT NULL,
    -- its place in the chain
    block_number bigint NOT NULL,
    place integer NOT NULL,
    -- held: an earlier entry of one of its loans is not delivered
    status text NOT NULL,
    attempt_count integer NOT NULL,
    first_attempt_at timestamptz,
    last_attempt_at timestamptz,
    next_attempt_at timestamptz,
    response_status smallint,
    error text,
    CONSTRAINT webhook_delivery_stands_once PRIMARY KEY (tenant_id, endpoint_id, journal_entry_id),
    CONSTRAINT webhook_delivery_status_is_known
        CHECK (status IN ('retrying', 'held', 'parked', 'delivered')),
    CONSTRAINT webhook_delivery_is_retried_at_a_time
        CHECK ((status = 'retrying') = (next_attempt_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_by_place
    ON webhook_deliveries (tenant_id, endpoint_id, block_number, place);

ALTER TABLE webhook_endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoints FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON webhook_endpoints
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE webhook_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON webhook_cursors
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON webhook_deliveries
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT, UPDATE ON webhook_endpoints, webhook_cursors TO hpts_app;
-- DELETE: those delivered after all are kept for a few days only.
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO hpts_app;
