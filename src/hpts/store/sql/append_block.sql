-- store/append.py, second pipeline, last but for the check that needs its lock: locks the tenant's
-- head until the commit, so that the blocks of several workers form one chain without a gap. A batch
-- with an entry effective ($5) in a period that was closed since it was decided fails with HP001:
-- closing takes the same lock, and an UPDATE that waited for it sees the row as it is then.
WITH head AS (
    UPDATE ledger_heads
    SET block_number = CASE
            WHEN closed_through >= ANY ($5::date[]) THEN refuse_closed_period(closed_through)
            ELSE block_number + 1
        END,
        previous_hash = block_hash,
        block_hash = sha256(
            block_hash || int8send(block_number + 1) || uuid_send($2::uuid) || int4send($3::integer)
            || $4::bytea
        )
    WHERE tenant_id = $1::uuid
    RETURNING block_number, previous_hash, block_hash
)
INSERT INTO ledger_blocks (
    tenant_id, block_number, previous_hash, entries_root, first_entry_id, entry_count, block_hash
)
SELECT $1::uuid, head.block_number, head.previous_hash, $4::bytea, $2::uuid, $3::integer,
    head.block_hash
FROM head
RETURNING block_number
