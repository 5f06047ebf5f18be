-- store/proofs.py: the block that begins with the entry $2 or last before it. Takes no lock.
SELECT block_number, previous_hash, entries_root, first_entry_id, entry_count
FROM ledger_blocks
WHERE tenant_id = $1::uuid AND first_entry_id <= $2::uuid
ORDER BY first_entry_id DESC
LIMIT 1
