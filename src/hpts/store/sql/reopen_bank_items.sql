-- store/bank_matches.py: the items of an undone match are open again. Under the account's lock.
INSERT INTO bank_open_items (
    tenant_id, bank_account_ref, item_date, side, source_id, sequence, amount_minor
)
SELECT item.tenant_id, item.bank_account_ref, item.item_date, item.side, item.source_id, item.sequence,
    item.amount_minor
FROM bank_match_items AS matched
JOIN bank_items AS item
    ON item.tenant_id = %(tenant_id)s AND item.side = matched.side AND item.source_id = matched.source_id
    AND item.sequence = matched.sequence
WHERE matched.tenant_id = %(tenant_id)s AND matched.match_id = %(match_id)s
