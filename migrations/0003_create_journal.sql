-- The journal: entries, their lines, and which loans an entry of many loans touches.
-- Append-only for everybody: by grants for hpts_app, by triggers for the owner as well.

CREATE TABLE journal_entries (
    tenant_id uuid NOT NULL,
    -- UUIDv7 whose time is posted_at to the microsecond, so that identifiers sort in posting order
    journal_entry_id uuid NOT NULL,
    event_type text NOT NULL,
    effective_at date NOT NULL,
    posted_at timestamptz NOT NULL,
    correlation_id uuid NOT NULL,
    reverses_entry_id uuid,
    -- the loan of an entry of one loan; an entry of many has rows in entry_loans instead
    loan_id uuid,
    actor text NOT NULL,
    idempotency_key text NOT NULL,
    request_digest bytea NOT NULL,
    -- json, not jsonb: it keeps every character that JSON can carry, NUL among them
    details json NOT NULL,
    reply bytea NOT NULL,
    entry_hash bytea NOT NULL,
    CONSTRAINT entry_is_posted_once PRIMARY KEY (tenant_id, journal_entry_id),
    CONSTRAINT idempotency_key_is_used_once UNIQUE (tenant_id, idempotency_key),
    CONSTRAINT event_type_is_known CHECK (event_type IN (
        'disbursement', 'disbursement_settled', 'accrual', 'payment_received', 'payment_allocated',
        'payment_returned', 'fee_assessed', 'fee_waived', 'chargeoff', 'recovery', 'refinance',
        'restructure', 'reversal', 'manual_adjustment'
    )),
    CONSTRAINT reversal_names_what_it_reverses CHECK ((event_type = 'reversal') = (reverses_entry_id IS NOT NULL)),
    CONSTRAINT request_digest_is_sha256 CHECK (length(request_digest) = 32),
    CONSTRAINT entry_hash_is_sha256 CHECK (length(entry_hash) = 32)
);

CREATE UNIQUE INDEX entry_is_reversed_once
    ON journal_entries (tenant_id, reverses_entry_id) WHERE reverses_entry_id IS NOT NULL;
CREATE INDEX entries_of_one_loan
    ON journal_entries (tenant_id, loan_id, journal_entry_id) WHERE loan_id IS NOT NULL;
CREATE INDEX accruals_by_day
    ON journal_entries (tenant_id, effective_at) WHERE event_type = 'accrual';

CREATE TABLE journal_lines (
    tenant_id uuid NOT NULL,
    journal_entry_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    loan_id uuid,
    sequence smallint NOT NULL,
    account_code smallint NOT NULL,
    direction "char" NOT NULL,
    layer "char" NOT NULL,
    currency text NOT NULL,
    CONSTRAINT line_stands_once PRIMARY KEY (tenant_id, journal_entry_id, sequence),
    CONSTRAINT line_amount_is_positive CHECK (amount_minor > 0),
    CONSTRAINT line_sequence_starts_at_one CHECK (sequence >= 1),
    CONSTRAINT line_is_debit_or_credit CHECK (direction IN ('D', 'C')),
    CONSTRAINT line_layer_is_settled_pending_or_encumbrance CHECK (layer IN ('S', 'P', 'E')),
    CONSTRAINT line_currency_has_three_letters CHECK (length(currency) = 3)
);

CREATE TABLE entry_loans (
    tenant_id uuid NOT NULL,
    loan_id uuid NOT NULL,
    journal_entry_id uuid NOT NULL,
    sequence smallint NOT NULL,
    -- what the client computed an accrual's interest on
    outstanding_principal_minor bigint,
    CONSTRAINT entry_line_of_loan_stands_once PRIMARY KEY (tenant_id, loan_id, journal_entry_id, sequence)
);

-- What the planner must know before the first row comes: one tenant's rows are not few, so only the
-- whole of a key is selective. Without it a plan made on the empty table scans a tenant, and is kept.
INSERT INTO journal_entries
SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid(),
    CASE kind WHEN 0 THEN 'accrual' WHEN 1 THEN 'reversal' ELSE 'payment_received' END,
    date '2000-01-01' + n, '2000-01-01', gen_random_uuid(),
    CASE kind WHEN 1 THEN gen_random_uuid() END, CASE WHEN kind > 0 THEN gen_random_uuid() END,
    'actor', 'key ' || n, sha256(int4send(n)), '{}', '', sha256(int4send(n))
FROM generate_series(1, 1000) AS n, LATERAL (SELECT n % 10 AS kind) AS drawn;
INSERT INTO journal_lines
SELECT '00000000-0000-0000-0000-000000000000', entry.journal_entry_id, 1, gen_random_uuid(), sequence,
    1000 + sequence, 'D', 'S', 'USD'
FROM journal_entries AS entry, generate_series(1, 4) AS sequence;
INSERT INTO entry_loans
SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid(), gen_random_uuid(), n, 1
FROM generate_series(1, 1000) AS n;
ANALYZE journal_entries, journal_lines, entry_loans;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE journal_entries, journal_lines, entry_loans;
RELEASE SAVEPOINT sampled;

-- The second path of the kernel's first check: whatever wrote the lines, they balance.
CREATE FUNCTION refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM inserted
        GROUP BY tenant_id, journal_entry_id, currency, layer
        HAVING sum(CASE direction WHEN 'D' THEN amount_minor ELSE -amount_minor END) <> 0
    ) THEN
        RAISE EXCEPTION 'the debits and credits of an entry differ' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER entries_balance AFTER INSERT ON journal_lines
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_entries();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused; correct a mistake by a reversal', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER entries_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lines_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_loans_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_loans
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ALWAYS: session_replication_role does not switch them off either.
ALTER TABLE journal_entries ENABLE ALWAYS TRIGGER entries_are_append_only;
ALTER TABLE journal_lines ENABLE ALWAYS TRIGGER lines_are_append_only;
ALTER TABLE journal_lines ENABLE ALWAYS TRIGGER entries_balance;
ALTER TABLE entry_loans ENABLE ALWAYS TRIGGER entry_loans_are_append_only;

ALTER TABLE journal_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal_entries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON journal_entries
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE journal_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal_lines FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON journal_lines
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE entry_loans ENABLE ROW LEVEL SECURITY;
ALTER TABLE entry_loans FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON entry_loans
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT ON journal_entries, journal_lines, entry_loans TO hpts_app;
