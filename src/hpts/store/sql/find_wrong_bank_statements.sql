-- store/verify_bank.py: the first statement whose balances, counts or account are not those of its lines, or
-- lines of no statement. Takes no lock.
SELECT 'bank_statements ' || statement_id
FROM (
    SELECT statement_id, bank_account_ref, closing_minor::numeric - opening_minor AS moved, counted_minor,
        line_count, repeated_line_count
    FROM bank_statements
    WHERE tenant_id = %(tenant_id)s
) AS stated
FULL JOIN (
    SELECT source_id AS statement_id, bank_account_ref, sum(amount_minor) AS moved,
        sum(amount_minor) FILTER (WHERE NOT is_repeated) AS counted_minor, count(*) AS line_count,
        count(*) FILTER (WHERE is_repeated) AS repeated_line_count
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s AND side = 'B'
    GROUP BY source_id, bank_account_ref
) AS found USING (statement_id, bank_account_ref)
WHERE stated.moved IS DISTINCT FROM coalesce(found.moved, 0)
    OR stated.counted_minor IS DISTINCT FROM coalesce(found.counted_minor, 0)
    OR stated.line_count IS DISTINCT FROM coalesce(found.line_count, 0)
    OR stated.repeated_line_count IS DISTINCT FROM coalesce(found.repeated_line_count, 0)
ORDER BY statement_id
LIMIT 1
