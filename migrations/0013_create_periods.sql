-- Accounting periods: through which day a tenant's books are closed, and every closing and reopening.

-- Which day that is, on the row that every batch locks as it commits: append_block.sql compares the
-- batch's days with it under that lock, so no posting slips into a period that closes meanwhile.
ALTER TABLE ledger_heads ADD COLUMN closed_through date;

-- What becomes of a posting that is effective in a closed period.
ALTER TABLE tenants ADD COLUMN late_postings text NOT NULL DEFAULT 'refuse'
    CONSTRAINT tenant_refuses_or_moves_late_postings CHECK (late_postings IN ('refuse', 'move'));

CREATE TABLE period_records (
    tenant_id uuid NOT NULL,
    -- from 1 without a gap, in the order of the closings and reopenings
    record_number integer NOT NULL,
    kind text NOT NULL,
    -- the last closed day from this record on; NULL: no day is closed
    closed_through date,
    reason text NOT NULL,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- the tenant's newest block at that moment: until the next record, every later block's entries are
    -- effective after closed_through
    block_number bigint NOT NULL,
    CONSTRAINT period_record_stands_once PRIMARY KEY (tenant_id, record_number),
    CONSTRAINT period_record_numbers_start_at_one CHECK (record_number >= 1),
    CONSTRAINT period_record_closes_or_reopens CHECK (kind IN ('close', 'reopen')),
    CONSTRAINT period_closing_names_a_day CHECK (kind = 'reopen' OR closed_through IS NOT NULL),
    CONSTRAINT period_record_has_a_reason CHECK (length(reason) BETWEEN 1 AND 500)
);

-- Accruals whose entry was moved out of a closed period, by their own day: a loan is accrued once for a
-- day, wherever the entry stands. A table, for no index on what the details say is used under row-level
-- security.
CREATE TABLE moved_accruals (
    tenant_id uuid NOT NULL,
    accrual_date date NOT NULL,
    journal_entry_id uuid NOT NULL,
    CONSTRAINT accrual_is_moved_once PRIMARY KEY (tenant_id, accrual_date, journal_entry_id)
);

-- What the planner must know before the first row comes: one tenant's rows are not few, so only the
-- whole of a key is selective. Without it a plan made on the empty table scans a tenant, and is kept.
INSERT INTO period_records
SELECT '00000000-0000-0000-0000-000000000000', n, 'close', date '2000-01-01' + n, 'reason', 'actor',
    '2000-01-01', n
FROM generate_series(1, 1000) AS n;
INSERT INTO moved_accruals
SELECT '00000000-0000-0000-0000-000000000000', date '2000-01-01' + n, gen_random_uuid()
FROM generate_series(1, 1000) AS n;
ANALYZE period_records, moved_accruals;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE period_records, moved_accruals;
RELEASE SAVEPOINT sampled;

-- append_block.sql calls it instead of writing a block into a closed period. The sqlstate is our own:
-- the ledger runs the batch again, which then sees the period closed.
CREATE FUNCTION refuse_closed_period(closed_through date) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the books were closed through % while the batch was decided', closed_through
        USING ERRCODE = 'HP001';
END
$$;

CREATE TRIGGER period_records_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON period_records
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER moved_accruals_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON moved_accruals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE moved_accruals ENABLE ALWAYS TRIGGER moved_accruals_are_append_only;
ALTER TABLE period_records ENABLE ALWAYS TRIGGER period_records_are_append_only;

ALTER TABLE period_records ENABLE ROW LEVEL SECURITY;
ALTER TABLE period_records FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON period_records
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE moved_accruals ENABLE ROW LEVEL SECURITY;
ALTER TABLE moved_accruals FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON moved_accruals
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT ON period_records, moved_accruals TO hpts_app;
