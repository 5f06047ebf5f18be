-- What each loan owes now, by component. Every number here can be recomputed from journal_lines.

CREATE TABLE loans (
    tenant_id uuid NOT NULL,
    loan_id uuid NOT NULL,
    borrower_id uuid NOT NULL,
    currency text NOT NULL,
    principal_minor bigint NOT NULL,
    interest_minor bigint NOT NULL,
    fees_minor bigint NOT NULL,
    -- the latest day of any accrual, reversed or not: a later day cannot have been accrued yet
    accrued_through date,
    last_activity_at timestamptz NOT NULL,
    CONSTRAINT loan_is_opened_once PRIMARY KEY (tenant_id, loan_id),
    CONSTRAINT loan_currency_has_three_letters CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT loan_principal_is_not_negative CHECK (principal_minor >= 0),
    CONSTRAINT loan_interest_is_not_negative CHECK (interest_minor >= 0),
    CONSTRAINT loan_fees_are_not_negative CHECK (fees_minor >= 0)
) WITH (fillfactor = 70); -- room for HOT updates: no indexed column ever changes

-- What the planner must know before the first row comes: one tenant's rows are not few, so only the
-- whole of a key is selective. Without it a plan made on the empty table scans a tenant, and is kept.
INSERT INTO loans
SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid(), gen_random_uuid(), 'USD', 1, 1, 1,
    '2000-01-01', '2000-01-01'
FROM generate_series(1, 1000);
ANALYZE loans;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE loans;
RELEASE SAVEPOINT sampled;

ALTER TABLE loans ENABLE ROW LEVEL SECURITY;
ALTER TABLE loans FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON loans
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT, UPDATE ON loans TO hpts_app;
