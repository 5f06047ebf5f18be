-- store/bank_matches.py: the items of each match that was undone. Takes no lock.
SELECT item.match_id, item.side, item.source_id, item.sequence
FROM bank_match_undos AS undone
JOIN bank_matches AS made ON made.tenant_id = %(tenant_id)s AND made.match_id = undone.match_id
JOIN bank_match_items AS item ON item.tenant_id = %(tenant_id)s AND item.match_id = undone.match_id
WHERE undone.tenant_id = %(tenant_id)s AND made.bank_account_ref = %(bank_account_ref)s
ORDER BY item.match_id
