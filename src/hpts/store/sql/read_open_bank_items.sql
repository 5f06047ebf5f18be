-- store/bank_matches.py: the oldest unmatched items of one side through a day. Under the account's lock.
SELECT item.side, item.source_id, item.sequence, item.amount_minor, item.item_date, item.item_references,
    item.description, item.batch, item.reverses_entry_id, item.is_reversal
FROM bank_open_items AS unmatched
JOIN bank_items AS item
    ON item.tenant_id = %(tenant_id)s AND item.side = unmatched.side
    AND item.source_id = unmatched.source_id AND item.sequence = unmatched.sequence
WHERE unmatched.tenant_id = %(tenant_id)s AND unmatched.bank_account_ref = %(bank_account_ref)s
    AND unmatched.side = %(side)s AND unmatched.item_date <= %(until)s
ORDER BY unmatched.item_date, unmatched.side, unmatched.source_id, unmatched.sequence
LIMIT %(count)s
