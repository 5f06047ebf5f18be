-- Totals of every account: for ever, by month and by day of effect. A balance as of a day is the
-- months before it and the days of its month, however long the history.
-- Each writer connection adds to its own stripe, so that writers never wait for one another's
-- cash account; a reader sums the stripes.

CREATE TABLE account_totals (
    tenant_id uuid NOT NULL,
    account_code smallint NOT NULL,
    currency text NOT NULL,
    layer "char" NOT NULL,
    stripe smallint NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    CONSTRAINT account_total_stands_once PRIMARY KEY (tenant_id, account_code, currency, layer, stripe),
    CONSTRAINT account_total_is_not_negative CHECK (debit_minor >= 0 AND credit_minor >= 0)
) WITH (fillfactor = 50);

CREATE TABLE account_month_totals (
    tenant_id uuid NOT NULL,
    account_code smallint NOT NULL,
    currency text NOT NULL,
    layer "char" NOT NULL,
    month date NOT NULL,
    stripe smallint NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    CONSTRAINT account_month_total_stands_once PRIMARY KEY (tenant_id, account_code, currency, layer, month, stripe),
    CONSTRAINT account_month_is_its_first_day CHECK (month = date_trunc('month', month::timestamp)::date),
    CONSTRAINT account_month_total_is_not_negative CHECK (debit_minor >= 0 AND credit_minor >= 0)
) WITH (fillfactor = 50);

CREATE TABLE account_day_totals (
    tenant_id uuid NOT NULL,
    account_code smallint NOT NULL,
    currency text NOT NULL,
    layer "char" NOT NULL,
    effective_at date NOT NULL,
    stripe smallint NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    CONSTRAINT account_day_total_stands_once PRIMARY KEY (tenant_id, account_code, currency, layer, effective_at, stripe),
    CONSTRAINT account_day_total_is_not_negative CHECK (debit_minor >= 0 AND credit_minor >= 0)
) WITH (fillfactor = 50);

-- What the planner must know before the first row comes: one tenant's rows are not few, so only the
-- whole of a key is selective. Without it a plan made on the empty table scans a tenant, and is kept.
INSERT INTO account_totals
SELECT '00000000-0000-0000-0000-000000000000', n, 'USD', 'S', stripe, 1, 1
FROM generate_series(1, 100) AS n, generate_series(1, 10) AS stripe;
INSERT INTO account_month_totals
SELECT '00000000-0000-0000-0000-000000000000', n % 10, 'USD', 'S',
    (date '2000-01-01' + make_interval(months => n / 10))::date, 1, 1, 1
FROM generate_series(1, 1000) AS n;
INSERT INTO account_day_totals
SELECT '00000000-0000-0000-0000-000000000000', n % 10, 'USD', 'S', date '2000-01-01' + n / 10, 1, 1, 1
FROM generate_series(1, 1000) AS n;
ANALYZE account_totals, account_month_totals, account_day_totals;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE account_totals, account_month_totals, account_day_totals;
RELEASE SAVEPOINT sampled;

ALTER TABLE account_totals ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_totals FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON account_totals
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE account_month_totals ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_month_totals FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON account_month_totals
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE account_day_totals ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_day_totals FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON account_day_totals
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT, UPDATE ON account_totals, account_month_totals, account_day_totals TO hpts_app;
