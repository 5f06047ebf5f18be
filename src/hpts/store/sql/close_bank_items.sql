-- store/bank_matches.py: items that were matched are open no more. Under the account's lock.
DELETE FROM bank_open_items AS unmatched
USING jsonb_to_recordset(%(items)s::jsonb) AS item (
    item_date date, side "char", source_id uuid, sequence integer
)
WHERE unmatched.tenant_id = %(tenant_id)s AND unmatched.bank_account_ref = %(bank_account_ref)s
    AND unmatched.item_date = item.item_date AND unmatched.side = item.side
    AND unmatched.source_id = item.source_id AND unmatched.sequence = item.sequence
