-- store/bank_matches.py: those of these items that are unmatched. Under the account's lock.
SELECT item.side, item.source_id, item.sequence, item.amount_minor, item.item_date, item.item_references,
    item.description, item.batch, item.reverses_entry_id, item.is_reversal
FROM jsonb_to_recordset(%(items)s::jsonb) AS wanted (side "char", source_id uuid, sequence integer)
JOIN bank_items AS item
    ON item.tenant_id = %(tenant_id)s AND item.side = wanted.side AND item.source_id = wanted.source_id
    AND item.sequence = wanted.sequence AND item.bank_account_ref = %(bank_account_ref)s
JOIN bank_open_items AS unmatched
    ON unmatched.tenant_id = %(tenant_id)s AND unmatched.bank_account_ref = %(bank_account_ref)s
    AND unmatched.item_date = item.item_date AND unmatched.side = item.side
    AND unmatched.source_id = item.source_id AND unmatched.sequence = item.sequence
