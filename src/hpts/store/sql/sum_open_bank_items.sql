-- store/bank_status.py: by side what was open at the end of a day: what is unmatched, and what was matched
-- with something of a later day. Cash lines from before the first statement do not count. Takes no lock.
-- OFFSET 0: see walk_matched_bank_items.
SELECT side, sum(amount_minor), min(item_date), count(*)
FROM (
    SELECT side, amount_minor, item_date
    FROM bank_open_items
    WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s AND item_date <= %(day)s
    UNION ALL
    SELECT matched.side, item.amount_minor, item.item_date
    FROM bank_matches AS made
    LEFT JOIN LATERAL (
        SELECT true AS is_undone
        FROM bank_match_undos
        WHERE tenant_id = %(tenant_id)s AND bank_match_undos.match_id = made.match_id
        OFFSET 0
    ) AS undone ON true
    CROSS JOIN LATERAL (
        SELECT side, source_id, sequence
        FROM bank_match_items
        WHERE tenant_id = %(tenant_id)s AND bank_match_items.match_id = made.match_id
        OFFSET 0
    ) AS matched
    CROSS JOIN LATERAL (
        SELECT amount_minor, item_date
        FROM bank_items
        WHERE tenant_id = %(tenant_id)s AND bank_items.side = matched.side
            AND bank_items.source_id = matched.source_id AND bank_items.sequence = matched.sequence
        OFFSET 0
    ) AS item
    WHERE made.tenant_id = %(tenant_id)s AND made.bank_account_ref = %(bank_account_ref)s
        AND made.last_date > %(day)s AND made.first_date <= %(day)s AND item.item_date <= %(day)s
        AND undone.is_undone IS NULL
) AS open_then
WHERE side = 'B' OR item_date >= %(begins_on)s
GROUP BY side
