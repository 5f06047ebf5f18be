-- The chain of blocks: one per committed batch and tenant, each over the hash of the one before.
-- Block numbers have no gap, so a reader of blocks in order sees every entry once.

CREATE TABLE ledger_heads (
    tenant_id uuid NOT NULL,
    block_number bigint NOT NULL,
    previous_hash bytea NOT NULL,
    block_hash bytea NOT NULL,
    CONSTRAINT tenant_has_one_head PRIMARY KEY (tenant_id)
) WITH (fillfactor = 50);

CREATE TABLE ledger_blocks (
    tenant_id uuid NOT NULL,
    block_number bigint NOT NULL,
    previous_hash bytea NOT NULL,
    -- Merkle root of the entry hashes, in posting order
    entries_root bytea NOT NULL,
    -- the entries of a block have consecutive identifiers
    first_entry_id uuid NOT NULL,
    entry_count integer NOT NULL,
    -- sha256(previous_hash, block_number, first_entry_id, entry_count, entries_root), big-endian
    block_hash bytea NOT NULL,
    CONSTRAINT block_number_is_used_once PRIMARY KEY (tenant_id, block_number),
    CONSTRAINT block_numbers_start_at_one CHECK (block_number >= 1),
    CONSTRAINT block_has_entries CHECK (entry_count >= 1)
);

-- What the planner must know before the first row comes: one tenant's rows are not few, so only the
-- whole of a key is selective. Without it a plan made on the empty table scans a tenant, and is kept.
INSERT INTO ledger_blocks
SELECT '00000000-0000-0000-0000-000000000000', n, '', '', gen_random_uuid(), 1, ''
FROM generate_series(1, 1000) AS n;
ANALYZE ledger_blocks;
-- In a savepoint TRUNCATE makes a new file, and the planner assumes a table that is yet to grow.
SAVEPOINT sampled;
TRUNCATE ledger_blocks;
RELEASE SAVEPOINT sampled;

CREATE TRIGGER blocks_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ledger_blocks ENABLE ALWAYS TRIGGER blocks_are_append_only;

ALTER TABLE ledger_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON ledger_heads
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
ALTER TABLE ledger_blocks ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_blocks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON ledger_blocks
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, UPDATE ON ledger_heads TO hpts_app;
GRANT SELECT, INSERT ON ledger_blocks TO hpts_app;
