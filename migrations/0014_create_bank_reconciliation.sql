-- Bank accounts, their statements, and which statement lines are which cash lines of the ledger.
-- Append-only but for bank_cursors and bank_open_items, which can be computed from the rest.

-- A ledger account in a currency has one bank account: else nobody could say whose difference it is.
CREATE TABLE bank_accounts (
    tenant_id uuid NOT NULL,
    bank_account_ref text NOT NULL,
    account_code smallint NOT NULL,
    currency text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    added_by text NOT NULL,
    CONSTRAINT bank_account_ref_is_used_once PRIMARY KEY (tenant_id, bank_account_ref),
    CONSTRAINT ledger_account_has_one_bank_account UNIQUE (tenant_id, account_code, currency),
    CONSTRAINT bank_account_ref_has_1_to_100_letters CHECK (length(bank_account_ref) BETWEEN 1 AND 100),
    CONSTRAINT bank_account_currency_has_three_letters CHECK (currency ~ '^[A-Z]{3}$')
);

-- How files name the account: an IBAN here, a number there.
CREATE TABLE bank_account_identifiers (
    tenant_id uuid NOT NULL,
    identifier text NOT NULL,
    bank_account_ref text NOT NULL,
    CONSTRAINT bank_account_identifier_is_used_once PRIMARY KEY (tenant_id, identifier),
    CONSTRAINT bank_account_identifier_has_1_to_100_letters CHECK (length(identifier) BETWEEN 1 AND 100)
);

-- Up to which block the ledger's cash lines stand in bank_items. Locked by whoever changes the account.
CREATE TABLE bank_cursors (
    tenant_id uuid NOT NULL,
    bank_account_ref text NOT NULL,
    block_number bigint NOT NULL,
    CONSTRAINT bank_account_has_one_cursor PRIMARY KEY (tenant_id, bank_account_ref)
);

-- Amounts are signed minor units: above zero is money in.
CREATE TABLE bank_statements (
    tenant_id uuid NOT NULL,
    statement_id uuid NOT NULL,
    bank_account_ref text NOT NULL,
    -- 1 for the account's first imported statement, and so on
    statement_number integer NOT NULL,
    file_format text NOT NULL,
    file_digest bytea NOT NULL,
    content_digest bytea NOT NULL,
    -- of what is the same in every format
    outline_digest bytea NOT NULL,
    statement_ref text NOT NULL,
    from_date date NOT NULL,
    to_date date NOT NULL,
    opening_minor bigint NOT NULL,
    opening_is_stated boolean NOT NULL,
    closing_minor bigint NOT NULL,
    -- what the lines move that were not imported before
    counted_minor bigint NOT NULL,
    line_count integer NOT NULL,
    repeated_line_count integer NOT NULL,
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    imported_by text NOT NULL,
    CONSTRAINT bank_statement_has_one_id PRIMARY KEY (tenant_id, statement_id),
    CONSTRAINT bank_statement_is_imported_once UNIQUE (tenant_id, bank_account_ref, content_digest),
    CONSTRAINT bank_statement_number_is_used_once UNIQUE (tenant_id, bank_account_ref, statement_number),
    CONSTRAINT bank_statement_days_are_in_order CHECK (from_date <= to_date),
    CONSTRAINT bank_statement_digests_are_sha256 CHECK (
        length(file_digest) = 32 AND length(content_digest) = 32 AND length(outline_digest) = 32
    ),
    CONSTRAINT bank_statement_repeats_its_own_lines CHECK (repeated_line_count BETWEEN 0 AND line_count)
);
CREATE INDEX bank_statements_by_outline ON bank_statements (tenant_id, bank_account_ref, outline_digest);

-- Lines of statements (side B) and cash lines of the ledger (side L), in one shape.
CREATE TABLE bank_items (
    tenant_id uuid NOT NULL,
    bank_account_ref text NOT NULL,
    side "char" NOT NULL,
    -- the statement, or the journal entry
    source_id uuid NOT NULL,
    sequence integer NOT NULL,
    amount_minor bigint NOT NULL,
    -- booking day at the bank, business day in the ledger
    item_date date NOT NULL,
    value_date date,
    item_references text[] NOT NULL,
    description text NOT NULL,
    -- how a payment came
    batch text NOT NULL,
    is_reversal boolean NOT NULL,
    reverses_entry_id uuid,
    -- what is the same of a line that stands in two statements; of side B
    identity_digest bytea,
    -- stood in a statement imported before, and counts there
    is_repeated boolean NOT NULL,
    CONSTRAINT bank_item_stands_once PRIMARY KEY (tenant_id, side, source_id, sequence),
    CONSTRAINT bank_item_is_of_bank_or_ledger CHECK (side IN ('B', 'L')),
    CONSTRAINT bank_item_moves_money CHECK (amount_minor <> 0),
    CONSTRAINT bank_line_has_an_identity CHECK ((side = 'B') = (identity_digest IS NOT NULL))
);
CREATE INDEX bank_items_by_identity ON bank_items (tenant_id, bank_account_ref, identity_digest)
    WHERE identity_digest IS NOT NULL;

-- What is in no match at this moment.
CREATE TABLE bank_open_items (
    tenant_id uuid NOT NULL,
    bank_account_ref text NOT NULL,
    item_date date NOT NULL,
    side "char" NOT NULL,
    source_id uuid NOT NULL,
    sequence integer NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT bank_item_is_open_once
        PRIMARY KEY (tenant_id, bank_account_ref, item_date, side, source_id, sequence)
);

CREATE TABLE bank_matches (
    tenant_id uuid NOT NULL,
    match_id uuid NOT NULL,
    bank_account_ref text NOT NULL,
    -- 1 for the account's first match, and so on
    match_number bigint NOT NULL,
    rule text NOT NULL,
    explanation text NOT NULL,
    amount_minor bigint NOT NULL,
    first_date date NOT NULL,
    last_date date NOT NULL,
    matched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    matched_by text NOT NULL,
    CONSTRAINT bank_match_has_one_id PRIMARY KEY (tenant_id, match_id),
    CONSTRAINT bank_match_number_is_used_once UNIQUE (tenant_id, bank_account_ref, match_number),
    CONSTRAINT bank_match_rule_is_known CHECK (rule IN (
        'reference', 'reference_sum', 'amount_and_date', 'sum_of_a_day', 'offset', 'manual'
    )),
    CONSTRAINT bank_match_is_explained CHECK (explanation <> ''),
    CONSTRAINT bank_match_days_are_in_order CHECK (first_date <= last_date)
);
CREATE INDEX bank_matches_by_last_day ON bank_matches (tenant_id, bank_account_ref, last_date, first_date);

CREATE TABLE bank_match_items (
    tenant_id uuid NOT NULL,
    match_id uuid NOT NULL,
    side "char" NOT NULL,
    source_id uuid NOT NULL,
    sequence integer NOT NULL,
    CONSTRAINT bank_match_holds_an_item_once PRIMARY KEY (tenant_id, match_id, side, source_id, sequence)
);
CREATE INDEX bank_matches_of_an_item ON bank_match_items (tenant_id, side, source_id, sequence);

-- That a match was wrong: its items are open again, and are not matched with each other by a rule.
CREATE TABLE bank_match_undos (
    tenant_id uuid NOT NULL,
    match_id uuid NOT NULL,
    reason text NOT NULL,
    undone_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    undone_by text NOT NULL,
    CONSTRAINT bank_match_is_undone_once PRIMARY KEY (tenant_id, match_id),
    CONSTRAINT bank_match_undo_has_a_reason CHECK (reason <> '')
);

-- What the planner must know before the first row comes (see 0003_create_journal.sql): every table here
-- is reached by whole keys.
INSERT INTO bank_items
SELECT '00000000-0000-0000-0000-000000000000', 'ref ' || n % 2, CASE n % 2 WHEN 0 THEN 'B' ELSE 'L' END,
    gen_random_uuid(), 1, n, date '2000-01-01' + n, NULL, '{}', '', '', false, NULL,
    CASE n % 2 WHEN 0 THEN sha256(int4send(n)) END, false
FROM generate_series(1, 1000) AS n;
INSERT INTO bank_open_items
SELECT tenant_id, bank_account_ref, item_date, side, source_id, sequence, amount_minor FROM bank_items;
INSERT INTO bank_match_items
SELECT tenant_id, gen_random_uuid(), side, source_id, sequence FROM bank_items;
INSERT INTO bank_matches
SELECT tenant_id, match_id, 'ref ' || sequence, row_number() OVER (), 'manual', 'sample', 1,
    date '2000-01-01', date '2000-01-01', now(), 'sample'
FROM bank_match_items;
ANALYZE bank_items, bank_open_items, bank_match_items, bank_matches;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE bank_items, bank_open_items, bank_match_items, bank_matches, bank_match_undos;
RELEASE SAVEPOINT sampled;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'bank_accounts', 'bank_account_identifiers', 'bank_cursors', 'bank_statements', 'bank_items',
        'bank_open_items', 'bank_matches', 'bank_match_items', 'bank_match_undos'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant_sees_its_own ON %I'
            ' USING (tenant_id = (SELECT nullif(current_setting(''hpts.tenant_id'', true), '''')::uuid))',
            name
        );
        EXECUTE format('GRANT SELECT, INSERT ON %I TO hpts_app', name);
        CONTINUE WHEN name IN ('bank_cursors', 'bank_open_items');
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            name || '_are_append_only', name
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', name, name || '_are_append_only');
    END LOOP;
END
$$;
GRANT UPDATE ON bank_cursors TO hpts_app;
GRANT DELETE ON bank_open_items TO hpts_app;
