-- store/bank_reads.py: a page of an account's matched items, newest match first, after the one where the
-- page before ended. Takes no lock. OFFSET 0 keeps it a probe a match and an item: among many small tenants
-- a plan would read all items of the tenant for each match. Every match has an item, so those of so many
-- matches are sorted, and the match that was begun before; a restored database, which has no statistics,
-- would sort those of all.
SELECT item.side, item.source_id, item.sequence, item.amount_minor, item.item_date, item.item_references,
    item.description, item.is_reversal, made.match_id, made.rule, made.explanation, made.match_number
FROM (
    SELECT newest.match_id, newest.rule, newest.explanation, newest.match_number
    FROM (
        SELECT match_id, rule, explanation, match_number
        FROM bank_matches
        WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
            AND match_number <= %(match_number)s
        ORDER BY match_number DESC
        OFFSET 0
    ) AS newest
    LEFT JOIN LATERAL (
        SELECT true AS is_undone
        FROM bank_match_undos
        WHERE tenant_id = %(tenant_id)s AND bank_match_undos.match_id = newest.match_id
        OFFSET 0
    ) AS undone ON true
    WHERE undone.is_undone IS NULL
    ORDER BY newest.match_number DESC
    LIMIT %(count)s::integer + 1
) AS made
CROSS JOIN LATERAL (
    SELECT side, source_id, sequence
    FROM bank_match_items
    WHERE tenant_id = %(tenant_id)s AND bank_match_items.match_id = made.match_id
    OFFSET 0
) AS matched
CROSS JOIN LATERAL (
    SELECT side, source_id, sequence, amount_minor, item_date, item_references, description, is_reversal
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s AND bank_items.side = matched.side
        AND bank_items.source_id = matched.source_id AND bank_items.sequence = matched.sequence
    OFFSET 0
) AS item
WHERE made.match_number < %(match_number)s
    OR (matched.side, matched.source_id, matched.sequence)
    > (%(side)s::"char", %(source_id)s::uuid, %(sequence)s)
ORDER BY made.match_number DESC, matched.side, matched.source_id, matched.sequence
LIMIT %(count)s::integer
