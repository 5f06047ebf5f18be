-- The tree over a tenant's blocks (docs/PROOFS.md), kept in tiles: the root of every 256 blocks, and of
-- every 256 such tiles. With them a proof reads some hundred rows, however long the chain is.

CREATE TABLE block_tiles (
    tenant_id uuid NOT NULL,
    -- 1: over 256 blocks; 2: over 256 tiles of level 1
    level smallint NOT NULL,
    -- from 0; tile t of level 1 is over blocks 256 t + 1 to 256 t + 256
    tile_number bigint NOT NULL,
    root bytea NOT NULL,
    CONSTRAINT tile_stands_once PRIMARY KEY (tenant_id, level, tile_number),
    CONSTRAINT tile_level_is_1_or_2 CHECK (level IN (1, 2)),
    CONSTRAINT tile_root_is_sha256 CHECK (length(root) = 32)
);

-- Which block an entry stands in.
CREATE INDEX blocks_by_entry ON ledger_blocks (tenant_id, first_entry_id);

-- RFC 6962, section 2.1, over 256 hashes of nodes that are complete.
CREATE FUNCTION root_of_nodes(nodes bytea[]) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    WHILE cardinality(nodes) > 1 LOOP
        SELECT array_agg(sha256('\x01'::bytea || nodes[2 * pair - 1] || nodes[2 * pair]) ORDER BY pair)
        INTO nodes
        FROM generate_series(1, cardinality(nodes) / 2) AS pair;
    END LOOP;
    RETURN nodes[1];
END
$$;

-- With the block that completes a tile, so that no tile is ever missing.
CREATE FUNCTION complete_block_tiles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO block_tiles (tenant_id, level, tile_number, root)
    SELECT NEW.tenant_id, 1, NEW.block_number / 256 - 1,
        root_of_nodes(array_agg(sha256('\x00'::bytea || block_hash) ORDER BY block_number))
    FROM ledger_blocks
    WHERE tenant_id = NEW.tenant_id
        AND block_number > NEW.block_number - 256 AND block_number <= NEW.block_number;
    IF NEW.block_number % 65536 = 0 THEN
        INSERT INTO block_tiles (tenant_id, level, tile_number, root)
        SELECT NEW.tenant_id, 2, NEW.block_number / 65536 - 1,
            root_of_nodes(array_agg(root ORDER BY tile_number))
        FROM block_tiles
        WHERE tenant_id = NEW.tenant_id AND level = 1
            AND tile_number >= NEW.block_number / 256 - 256 AND tile_number < NEW.block_number / 256;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tiles_are_completed AFTER INSERT ON ledger_blocks
    FOR EACH ROW WHEN (NEW.block_number % 256 = 0) EXECUTE FUNCTION complete_block_tiles();

-- Tiles of the blocks that are there, tenant by tenant as the policy wants it.
DO $$
DECLARE
    tenant uuid;
BEGIN
    FOR tenant IN SELECT tenant_id FROM tenants LOOP
        PERFORM set_config('hpts.tenant_id', tenant::text, true);
        INSERT INTO block_tiles (tenant_id, level, tile_number, root)
        SELECT tenant, 1, (block_number - 1) / 256,
            root_of_nodes(array_agg(sha256('\x00'::bytea || block_hash) ORDER BY block_number))
        FROM ledger_blocks
        WHERE tenant_id = tenant
        GROUP BY (block_number - 1) / 256
        HAVING count(*) = 256;
        INSERT INTO block_tiles (tenant_id, level, tile_number, root)
        SELECT tenant, 2, tile_number / 256, root_of_nodes(array_agg(root ORDER BY tile_number))
        FROM block_tiles
        WHERE tenant_id = tenant AND level = 1
        GROUP BY tile_number / 256
        HAVING count(*) = 256;
    END LOOP;
    PERFORM set_config('hpts.tenant_id', '', true);
END
$$;

CREATE TRIGGER tiles_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON block_tiles
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE block_tiles ENABLE ALWAYS TRIGGER tiles_are_append_only;

ALTER TABLE block_tiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE block_tiles FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON block_tiles
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT ON block_tiles TO hpts_app;
