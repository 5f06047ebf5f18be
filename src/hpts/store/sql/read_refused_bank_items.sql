-- store/bank_matches.py: the unmatched items that were in a match that was undone, with each such match, the
-- newest matches first, at most so many. Takes no lock. OFFSET 0: see walk_matched_bank_items.
SELECT undone.match_id, was_in.side, was_in.source_id, was_in.sequence
FROM bank_match_undos AS undone
CROSS JOIN LATERAL (
    SELECT match_number
    FROM bank_matches
    WHERE tenant_id = %(tenant_id)s AND bank_matches.match_id = undone.match_id
        AND bank_account_ref = %(bank_account_ref)s
    OFFSET 0
) AS made
CROSS JOIN LATERAL (
    SELECT side, source_id, sequence
    FROM bank_match_items
    WHERE tenant_id = %(tenant_id)s AND bank_match_items.match_id = undone.match_id
    OFFSET 0
) AS was_in
CROSS JOIN LATERAL (
    SELECT item_date
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s AND bank_items.side = was_in.side
        AND bank_items.source_id = was_in.source_id AND bank_items.sequence = was_in.sequence
    OFFSET 0
) AS item
CROSS JOIN LATERAL (
    SELECT
    FROM bank_open_items
    WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
        AND bank_open_items.item_date = item.item_date AND bank_open_items.side = was_in.side
        AND bank_open_items.source_id = was_in.source_id AND bank_open_items.sequence = was_in.sequence
    OFFSET 0
) AS unmatched
WHERE undone.tenant_id = %(tenant_id)s
ORDER BY made.match_number DESC
LIMIT %(count)s
