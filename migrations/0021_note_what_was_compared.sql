-- Reconciliation reads what is new in steps and compares at the end: how far it was compared, which is behind
-- block_number while steps are under way. A column and not a part of `known`, so that no older version, which
-- would not keep it, goes on from there.
ALTER TABLE reconciliation_progress ADD COLUMN compared_block bigint;
-- The owner is to see the rows of all tenants for once.
ALTER TABLE reconciliation_progress NO FORCE ROW LEVEL SECURITY;
UPDATE reconciliation_progress SET compared_block = block_number;
ALTER TABLE reconciliation_progress FORCE ROW LEVEL SECURITY;
ALTER TABLE reconciliation_progress
    ALTER COLUMN compared_block SET NOT NULL,
    ADD CONSTRAINT reconciliation_compares_what_it_has_read CHECK (compared_block <= block_number);
