-- store/proofs.py: the hashes of the entries $2 to $3, which are of one block. Takes no lock.
SELECT entry_hash
FROM journal_entries
WHERE tenant_id = $1::uuid AND journal_entry_id BETWEEN $2::uuid AND $3::uuid
ORDER BY journal_entry_id
