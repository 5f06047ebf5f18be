-- store/verify_snapshot.py: the first entry of the blocks from one on. Takes no lock. OFFSET 0 keeps
-- PostgreSQL from looking for it in the order of all entries.
SELECT first_entry_id
FROM (
    SELECT first_entry_id FROM ledger_blocks
    WHERE tenant_id = %(tenant_id)s AND block_number >= %(from_block)s
    OFFSET 0
) AS block
ORDER BY first_entry_id
LIMIT 1
