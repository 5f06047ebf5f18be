-- store/bank_status.py: by side what was open at the end of a day: what is unmatched, and what was matched
-- with something of a later day. Cash lines from before the first statement do not count. Takes no lock.
SELECT side, sum(amount_minor), min(item_date), count(*)
FROM (
    SELECT side, amount_minor, item_date
    FROM bank_open_items
    WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s AND item_date <= %(day)s
    UNION ALL
    SELECT item.side, item.amount_minor, item.item_date
    FROM bank_matches AS made
    JOIN bank_match_items AS matched
        ON matched.tenant_id = %(tenant_id)s AND matched.match_id = made.match_id
    JOIN bank_items AS item
        ON item.tenant_id = %(tenant_id)s AND item.side = matched.side
        AND item.source_id = matched.source_id AND item.sequence = matched.sequence
    WHERE made.tenant_id = %(tenant_id)s AND made.bank_account_ref = %(bank_account_ref)s
        AND made.last_date > %(day)s AND made.first_date <= %(day)s AND item.item_date <= %(day)s
        AND NOT EXISTS (
            SELECT FROM bank_match_undos AS undone
            WHERE undone.tenant_id = %(tenant_id)s AND undone.match_id = made.match_id
        )
) AS open_then
WHERE side = 'B' OR item_date >= %(begins_on)s
GROUP BY side
