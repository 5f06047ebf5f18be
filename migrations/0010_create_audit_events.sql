-- Who did or tried what that not everybody may: append-only, a chain of its own per tenant.
-- What belongs to no tenant (a token that nobody can judge, a key) stands under the nil UUID.

ALTER TABLE tenants ADD CONSTRAINT tenant_is_not_nil
    CHECK (tenant_id <> '00000000-0000-0000-0000-000000000000');

CREATE TABLE audit_events (
    tenant_id uuid NOT NULL,
    -- UUIDv7 whose time is recorded_at to the microsecond
    audit_event_id uuid NOT NULL,
    -- from 1 without a gap, so that a missing one is noticed
    event_number bigint NOT NULL,
    -- the database's clock
    recorded_at timestamptz NOT NULL,
    -- the login that wrote the row: the server's, or an operator's
    recorded_by text NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL,
    -- who: the token's subject, or the operating system's user; NULL where nobody proved to be anybody
    actor text,
    -- from where: an address, or the operator's host
    source text,
    -- what it was done to: an entry, a tenant, a key, a route
    subject text,
    problem_code text,
    trace_id text,
    -- equal refusals within a few seconds are one row
    occurrences integer NOT NULL,
    details json NOT NULL,
    previous_hash bytea NOT NULL,
    event_hash bytea NOT NULL,
    CONSTRAINT audit_event_is_recorded_once PRIMARY KEY (tenant_id, audit_event_id),
    CONSTRAINT audit_event_number_is_used_once UNIQUE (tenant_id, event_number),
    CONSTRAINT audit_event_numbers_start_at_one CHECK (event_number >= 1),
    CONSTRAINT audit_action_is_noun_dot_verb CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    CONSTRAINT audit_outcome_is_allowed_or_refused CHECK (outcome IN ('allowed', 'refused')),
    CONSTRAINT audit_problem_is_of_a_refusal CHECK (outcome = 'refused' OR problem_code IS NULL),
    CONSTRAINT audit_event_happened CHECK (occurrences >= 1),
    CONSTRAINT audit_texts_are_short CHECK (
        greatest(
            length(action), length(actor), length(source), length(subject), length(problem_code), length(trace_id)
        ) <= 255
    ),
    CONSTRAINT audit_details_are_small CHECK (octet_length(details::text) <= 4096)
);

-- What the planner must know before the first row comes (see 0003_create_journal.sql).
INSERT INTO audit_events
SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid(), n, '2000-01-01', 'login', 'tenant.add', 'allowed',
    'actor ' || n % 10, 'host', 'subject', NULL, NULL, 1, '{}', sha256(int4send(n)), sha256(int4send(n))
FROM generate_series(1, 1000) AS n;
ANALYZE audit_events;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE audit_events;
RELEASE SAVEPOINT sampled;

-- A text as it is hashed: its length in bytes, then UTF-8; NULL has the length -1.
CREATE FUNCTION hashed_text(written text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN written IS NULL THEN int4send(-1)
        ELSE int4send(octet_length(convert_to(written, 'UTF8'))) || convert_to(written, 'UTF8')
    END
$$;

-- Whatever inserts a row, its number, time, login and hashes are the database's. The lock is held until
-- the transaction ends, so that a tenant's events form one chain without a gap; for that reason an event
-- is recorded last in its transaction.
CREATE FUNCTION seal_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
    microseconds bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1213224001, hashtext(NEW.tenant_id::text));
    SELECT event_number, event_hash INTO last
    FROM audit_events
    WHERE tenant_id = NEW.tenant_id
    ORDER BY event_number DESC
    LIMIT 1;
    NEW.event_number := coalesce(last.event_number, 0) + 1;
    NEW.previous_hash := coalesce(last.event_hash, sha256('HPTS audit'::bytea || uuid_send(NEW.tenant_id)));
    NEW.recorded_at := clock_timestamp();
    NEW.recorded_by := session_user;
    microseconds := extract(epoch FROM NEW.recorded_at) * 1000000;
    NEW.audit_event_id := encode(
        substring(int8send(microseconds / 1000) FROM 3)
        || int2send((28672 + microseconds % 1000 * 4096 / 1000)::smallint)
        || substring(uuid_send(gen_random_uuid()) FROM 9),
        'hex'
    );
    NEW.event_hash := sha256(
        NEW.previous_hash || uuid_send(NEW.tenant_id) || uuid_send(NEW.audit_event_id)
        || int8send(NEW.event_number) || int8send(microseconds - 946684800000000) || int4send(NEW.occurrences)
        || hashed_text(NEW.recorded_by) || hashed_text(NEW.action) || hashed_text(NEW.outcome)
        || hashed_text(NEW.actor) || hashed_text(NEW.source) || hashed_text(NEW.subject)
        || hashed_text(NEW.problem_code) || hashed_text(NEW.trace_id) || hashed_text(NEW.details::text)
    );
    RETURN NEW;
END
$$;

CREATE TRIGGER audit_events_are_sealed BEFORE INSERT ON audit_events
    FOR EACH ROW EXECUTE FUNCTION seal_audit_event();
CREATE TRIGGER audit_events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_are_append_only;

ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON audit_events
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
CREATE POLICY owner_reads_audit_events ON audit_events FOR SELECT TO hpts_owner USING (true);

GRANT SELECT, INSERT ON audit_events TO hpts_app;
