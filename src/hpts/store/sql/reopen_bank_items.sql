-- store/bank_matches.py: the items of an undone match are open again. Under the account's lock. OFFSET 0:
-- see walk_matched_bank_items.
INSERT INTO bank_open_items (
    tenant_id, bank_account_ref, item_date, side, source_id, sequence, amount_minor
)
SELECT %(tenant_id)s, item.bank_account_ref, item.item_date, matched.side, matched.source_id,
    matched.sequence, item.amount_minor
FROM bank_match_items AS matched
CROSS JOIN LATERAL (
    SELECT bank_account_ref, item_date, amount_minor
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s AND bank_items.side = matched.side
        AND bank_items.source_id = matched.source_id AND bank_items.sequence = matched.sequence
    OFFSET 0
) AS item
WHERE matched.tenant_id = %(tenant_id)s AND matched.match_id = %(match_id)s
