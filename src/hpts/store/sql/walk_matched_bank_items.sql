-- store/bank_reads.py: a page of an account's matched items, newest match first, after the one where the
-- page before ended. Takes no lock.
SELECT item.side, item.source_id, item.sequence, item.amount_minor, item.item_date, item.item_references,
    item.description, item.is_reversal, made.match_id, made.rule, made.explanation, made.match_number
FROM bank_matches AS made
JOIN bank_match_items AS matched ON matched.tenant_id = %(tenant_id)s AND matched.match_id = made.match_id
JOIN bank_items AS item
    ON item.tenant_id = %(tenant_id)s AND item.side = matched.side AND item.source_id = matched.source_id
    AND item.sequence = matched.sequence
WHERE made.tenant_id = %(tenant_id)s AND made.bank_account_ref = %(bank_account_ref)s
    AND made.match_number <= %(match_number)s
    AND (
        made.match_number < %(match_number)s
        OR (item.side, item.source_id, item.sequence)
        > (%(side)s::"char", %(source_id)s::uuid, %(sequence)s)
    )
    AND NOT EXISTS (
        SELECT FROM bank_match_undos AS undone
        WHERE undone.tenant_id = %(tenant_id)s AND undone.match_id = made.match_id
    )
ORDER BY made.match_number DESC, item.side, item.source_id, item.sequence
LIMIT %(count)s
