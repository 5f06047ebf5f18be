-- What the lines add up to as far as reconciliation has read them, so that it goes on from there.
-- Written by nobody but reconciliation and computed from lines alone; everything here may be deleted
-- and is then computed again.

-- kept: for ever (E, of the period 0001-01-01), by month (M, its first day) or by day of effect (D), as the totals
-- have it. numeric: lines that somebody changed may add up to more than int64.
CREATE TABLE reconciliation_sums (
    tenant_id uuid NOT NULL,
    account_code smallint NOT NULL,
    currency text NOT NULL,
    layer "char" NOT NULL,
    kept "char" NOT NULL,
    period date NOT NULL,
    debit_minor numeric NOT NULL,
    credit_minor numeric NOT NULL,
    CONSTRAINT reconciliation_sum_stands_once PRIMARY KEY (tenant_id, account_code, currency, layer, kept, period),
    CONSTRAINT reconciliation_sum_is_kept_as_totals_are CHECK (kept IN ('E', 'M', 'D'))
);

-- What each loan owes by its lines, and the principal that stood in loans when it was compared last.
CREATE TABLE reconciliation_loans (
    tenant_id uuid NOT NULL,
    loan_id uuid NOT NULL,
    currency text NOT NULL,
    principal_minor numeric NOT NULL,
    interest_minor numeric NOT NULL,
    fees_minor numeric NOT NULL,
    compared_principal_minor bigint NOT NULL DEFAULT 0,
    CONSTRAINT reconciled_loan_stands_once PRIMARY KEY (tenant_id, loan_id)
) WITH (fillfactor = 70);

-- How far reconciliation has read (block_number), when it last read everything, and what it knows.
CREATE TABLE reconciliation_progress (
    tenant_id uuid NOT NULL,
    block_number bigint NOT NULL,
    checked_at timestamptz NOT NULL,
    full_at timestamptz NOT NULL,
    known json NOT NULL,
    CONSTRAINT reconciliation_progress_stands_once PRIMARY KEY (tenant_id)
);

-- What the planner must know before the first row comes: one tenant's rows are not few, so only the
-- whole of a key is selective. Without it a plan made on the empty table scans a tenant, and is kept.
INSERT INTO reconciliation_sums
SELECT '00000000-0000-0000-0000-000000000000', n % 10, 'USD', 'S', 'D', date '2000-01-01' + n / 10, 1, 1
FROM generate_series(1, 1000) AS n;
INSERT INTO reconciliation_loans
SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'USD', 1, 1, 1, 1
FROM generate_series(1, 1000) AS n;
ANALYZE reconciliation_sums, reconciliation_loans;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE reconciliation_sums, reconciliation_loans;
RELEASE SAVEPOINT sampled;

ALTER TABLE reconciliation_sums ENABLE ROW LEVEL SECURITY;
ALTER TABLE reconciliation_sums FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON reconciliation_sums
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE reconciliation_loans ENABLE ROW LEVEL SECURITY;
ALTER TABLE reconciliation_loans FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON reconciliation_loans
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE reconciliation_progress ENABLE ROW LEVEL SECURITY;
ALTER TABLE reconciliation_progress FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON reconciliation_progress
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT, UPDATE, DELETE ON reconciliation_sums, reconciliation_loans TO hpts_app;
GRANT SELECT, INSERT, UPDATE ON reconciliation_progress TO hpts_app;

-- The one worker that reconciles by itself must know for whom; hpts_app sees one tenant at a time.
CREATE FUNCTION active_tenants() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
    AS $$ SELECT tenant_id FROM tenants WHERE status = 'active' ORDER BY tenant_id $$;
REVOKE ALL ON FUNCTION active_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION active_tenants() TO hpts_app;
