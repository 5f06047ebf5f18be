-- store/bank_reads.py: a page of an account's unmatched items, newest day first, after the one where the page
-- before ended. Takes no lock.
SELECT item.side, item.source_id, item.sequence, item.amount_minor, item.item_date, item.item_references,
    item.description, item.is_reversal, NULL::uuid, NULL::text, NULL::text, NULL::bigint
FROM bank_open_items AS unmatched
JOIN bank_items AS item
    ON item.tenant_id = %(tenant_id)s AND item.side = unmatched.side AND item.source_id = unmatched.source_id
    AND item.sequence = unmatched.sequence
WHERE unmatched.tenant_id = %(tenant_id)s AND unmatched.bank_account_ref = %(bank_account_ref)s
    AND (
        unmatched.item_date < %(item_date)s::date
        OR unmatched.item_date = %(item_date)s::date
        AND (unmatched.side, unmatched.source_id, unmatched.sequence)
        < (%(side)s::"char", %(source_id)s::uuid, %(sequence)s)
    )
ORDER BY unmatched.item_date DESC, unmatched.side DESC, unmatched.source_id DESC, unmatched.sequence DESC
LIMIT %(count)s
