-- store/known_reads.py: how many blocks are not folded yet. Takes no lock.
SELECT head.block_number - coalesce(progress.block_number, 0)
FROM ledger_heads AS head
LEFT JOIN known_progress AS progress ON progress.tenant_id = $1::uuid
WHERE head.tenant_id = $1::uuid
