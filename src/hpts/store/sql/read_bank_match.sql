-- store/bank_matches.py: the bank account of a match, and whether it was undone. Takes no lock.
SELECT bank_account_ref,
    EXISTS (
        SELECT FROM bank_match_undos AS undone
        WHERE undone.tenant_id = %(tenant_id)s AND undone.match_id = %(match_id)s
    ) AS is_undone
FROM bank_matches
WHERE tenant_id = %(tenant_id)s AND match_id = %(match_id)s
