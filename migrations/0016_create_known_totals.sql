-- What was known when: totals of every account by when entries were posted as well as by when they are
-- effective. Filled from the blocks behind the postings' back (store/known_fold.py) and computed from
-- lines alone; everything here may be deleted and is then computed again.

-- How far the chain has been folded into these tables.
CREATE TABLE known_progress (
    tenant_id uuid NOT NULL,
    block_number bigint NOT NULL,
    -- the greatest entry of the folded blocks: no slice begins before it any more
    last_entry_id uuid NOT NULL,
    -- lines in the slice that is being filled
    slice_lines bigint NOT NULL,
    CONSTRAINT known_progress_stands_once PRIMARY KEY (tenant_id)
);

-- Entries are cut into slices of some thousand lines, in posting order: where each begins.
CREATE TABLE known_slices (
    tenant_id uuid NOT NULL,
    from_entry_id uuid NOT NULL,
    CONSTRAINT known_slice_begins_once PRIMARY KEY (tenant_id, from_entry_id)
);

-- By month of posting, and by month (M, its first day) and day (D) of effect.
CREATE TABLE known_month_totals (
    tenant_id uuid NOT NULL,
    account_code smallint NOT NULL,
    currency text NOT NULL,
    layer "char" NOT NULL,
    kept "char" NOT NULL,
    period date NOT NULL,
    posted_month date NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    CONSTRAINT known_month_total_stands_once
        PRIMARY KEY (tenant_id, account_code, currency, layer, kept, period, posted_month),
    CONSTRAINT known_month_total_is_kept_by_month_or_day CHECK (kept IN ('M', 'D'))
);

-- By day of posting and day of effect.
CREATE TABLE known_day_totals (
    tenant_id uuid NOT NULL,
    account_code smallint NOT NULL,
    currency text NOT NULL,
    layer "char" NOT NULL,
    posted_day date NOT NULL,
    effective_at date NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    CONSTRAINT known_day_total_stands_once
        PRIMARY KEY (tenant_id, account_code, currency, layer, posted_day, effective_at)
);

-- By slice, cut at midnight, and day of effect. A slice is named by the first entry that it can hold.
CREATE TABLE known_slice_totals (
    tenant_id uuid NOT NULL,
    account_code smallint NOT NULL,
    currency text NOT NULL,
    layer "char" NOT NULL,
    from_entry_id uuid NOT NULL,
    effective_at date NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    CONSTRAINT known_slice_total_stands_once
        PRIMARY KEY (tenant_id, account_code, currency, layer, from_entry_id, effective_at)
);

-- What the planner must know before the first row comes: one tenant's rows are not few, so only the
-- whole of a key is selective. Without it a plan made on the empty table scans a tenant, and is kept.
INSERT INTO known_slices
SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid() FROM generate_series(1, 1000);
INSERT INTO known_month_totals
SELECT '00000000-0000-0000-0000-000000000000', n % 10, 'USD', 'S', CASE n % 3 WHEN 0 THEN 'M' ELSE 'D' END,
    date '2000-01-01' + n / 10, date '2000-01-01' + n / 100, 1, 1
FROM generate_series(1, 1000) AS n;
INSERT INTO known_day_totals
SELECT '00000000-0000-0000-0000-000000000000', n % 10, 'USD', 'S', date '2000-01-01' + n / 10, '2000-01-01', 1, 1
FROM generate_series(1, 1000) AS n;
INSERT INTO known_slice_totals
SELECT '00000000-0000-0000-0000-000000000000', n % 10, 'USD', 'S', gen_random_uuid(), '2000-01-01', 1, 1
FROM generate_series(1, 1000) AS n;
ANALYZE known_slices, known_month_totals, known_day_totals, known_slice_totals;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE known_slices, known_month_totals, known_day_totals, known_slice_totals;
RELEASE SAVEPOINT sampled;

DO $$
DECLARE
    cache text;
BEGIN
    FOREACH cache IN ARRAY ARRAY[
        'known_progress', 'known_slices', 'known_month_totals', 'known_day_totals', 'known_slice_totals'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', cache);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', cache);
        EXECUTE format(
            'CREATE POLICY tenant_sees_its_own ON %I'
            ' USING (tenant_id = (SELECT nullif(current_setting(''hpts.tenant_id'', true), '''')::uuid))',
            cache
        );
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO hpts_app', cache);
    END LOOP;
END
$$;
