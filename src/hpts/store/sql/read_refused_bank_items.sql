-- store/bank_matches.py: the unmatched items that were in a match that was undone, with each such match, the
-- newest matches first, at most so many. Takes no lock.
SELECT was_in.match_id, was_in.side, was_in.source_id, was_in.sequence
FROM bank_match_undos AS undone
JOIN bank_matches AS made ON made.tenant_id = %(tenant_id)s AND made.match_id = undone.match_id
JOIN bank_match_items AS was_in
    ON was_in.tenant_id = %(tenant_id)s AND was_in.match_id = undone.match_id
JOIN bank_items AS item
    ON item.tenant_id = %(tenant_id)s AND item.side = was_in.side
    AND item.source_id = was_in.source_id AND item.sequence = was_in.sequence
JOIN bank_open_items AS unmatched
    ON unmatched.tenant_id = %(tenant_id)s AND unmatched.bank_account_ref = %(bank_account_ref)s
    AND unmatched.item_date = item.item_date AND unmatched.side = item.side
    AND unmatched.source_id = item.source_id AND unmatched.sequence = item.sequence
WHERE undone.tenant_id = %(tenant_id)s AND made.bank_account_ref = %(bank_account_ref)s
ORDER BY made.match_number DESC
LIMIT %(count)s
