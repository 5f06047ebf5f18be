-- store/standby.py, on a standby: how far the tenant's chain is there, and the hash of its block $2, which
-- tells whether it is the primary's chain. Takes no lock.
SELECT
    (SELECT head.block_number FROM ledger_heads AS head WHERE head.tenant_id = $1::uuid),
    (
        SELECT block.block_hash FROM ledger_blocks AS block
        WHERE block.tenant_id = $1::uuid AND block.block_number = $2::bigint
    )
