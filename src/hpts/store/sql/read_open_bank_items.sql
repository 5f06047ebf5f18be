-- store/bank_matches.py: the oldest unmatched items of one side through a day. Under the account's lock.
-- OFFSET 0: see walk_matched_bank_items.
SELECT item.side, item.source_id, item.sequence, item.amount_minor, item.item_date, item.item_references,
    item.description, item.batch, item.reverses_entry_id, item.is_reversal
FROM bank_open_items AS unmatched
CROSS JOIN LATERAL (
    SELECT side, source_id, sequence, amount_minor, item_date, item_references, description, batch,
        reverses_entry_id, is_reversal
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s AND bank_items.side = unmatched.side
        AND bank_items.source_id = unmatched.source_id AND bank_items.sequence = unmatched.sequence
    OFFSET 0
) AS item
WHERE unmatched.tenant_id = %(tenant_id)s AND unmatched.bank_account_ref = %(bank_account_ref)s
    AND unmatched.side = %(side)s AND unmatched.item_date <= %(until)s
ORDER BY unmatched.item_date, unmatched.side, unmatched.source_id, unmatched.sequence
LIMIT %(count)s
