-- store/feed.py: which of the entries $2 have a line on the account $3, in the order of $2. Takes no lock.
SELECT wanted.journal_entry_id
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (journal_entry_id, position)
WHERE EXISTS (
    SELECT FROM journal_lines AS line
    WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = wanted.journal_entry_id
        AND line.account_code = $3::smallint
)
ORDER BY wanted.position
