-- store/feed.py: which of the entries $2 have a line on the account $3, in the order of $2. Takes no
-- lock. Not EXISTS: among many small tenants a plan would read all lines of the tenant first.
SELECT wanted.journal_entry_id
FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (journal_entry_id, position)
CROSS JOIN LATERAL (
    SELECT
    FROM journal_lines AS line
    WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = wanted.journal_entry_id
        AND line.account_code = $3::smallint
    LIMIT 1
) AS found
ORDER BY wanted.position
