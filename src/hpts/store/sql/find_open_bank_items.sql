-- store/bank_matches.py: those of these items that are unmatched. Under the account's lock. OFFSET 0: see
-- walk_matched_bank_items.
SELECT item.side, item.source_id, item.sequence, item.amount_minor, item.item_date, item.item_references,
    item.description, item.batch, item.reverses_entry_id, item.is_reversal
FROM jsonb_to_recordset(%(items)s::jsonb) AS wanted (side "char", source_id uuid, sequence integer)
CROSS JOIN LATERAL (
    SELECT side, source_id, sequence, amount_minor, item_date, item_references, description, batch,
        reverses_entry_id, is_reversal
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s AND bank_items.side = wanted.side
        AND bank_items.source_id = wanted.source_id AND bank_items.sequence = wanted.sequence
        AND bank_account_ref = %(bank_account_ref)s
    OFFSET 0
) AS item
CROSS JOIN LATERAL (
    SELECT
    FROM bank_open_items
    WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
        AND bank_open_items.item_date = item.item_date AND bank_open_items.side = item.side
        AND bank_open_items.source_id = item.source_id AND bank_open_items.sequence = item.sequence
    OFFSET 0
) AS unmatched
