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
