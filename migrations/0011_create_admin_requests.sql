-- Administrative requests that were carried out, by idempotency key, with what was answered. A posting
-- keeps its key on its entry; these change something else, so they keep theirs here.

CREATE TABLE admin_requests (
    tenant_id uuid NOT NULL,
    idempotency_key text NOT NULL,
    request_digest bytea NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status smallint NOT NULL,
    location text NOT NULL,
    reply bytea NOT NULL,
    CONSTRAINT admin_request_is_carried_out_once PRIMARY KEY (tenant_id, idempotency_key),
    CONSTRAINT admin_request_digest_is_sha256 CHECK (length(request_digest) = 32),
    CONSTRAINT admin_request_succeeded CHECK (status BETWEEN 200 AND 299)
);

CREATE TRIGGER admin_requests_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON admin_requests
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE admin_requests ENABLE ALWAYS TRIGGER admin_requests_are_append_only;

ALTER TABLE admin_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE admin_requests FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON admin_requests
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT ON admin_requests TO hpts_app;
