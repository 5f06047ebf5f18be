-- store/bank_reads.py: a page of an account's unmatched items, newest day first, after the one where the page
-- before ended. Takes no lock. OFFSET 0: see walk_matched_bank_items.
SELECT item.side, item.source_id, item.sequence, item.amount_minor, item.item_date, item.item_references,
    item.description, item.is_reversal, NULL::uuid, NULL::text, NULL::text, NULL::bigint
FROM bank_open_items AS unmatched
CROSS JOIN LATERAL (
    SELECT side, source_id, sequence, amount_minor, item_date, item_references, description, is_reversal
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s AND bank_items.side = unmatched.side
        AND bank_items.source_id = unmatched.source_id AND bank_items.sequence = unmatched.sequence
    OFFSET 0
) AS item
WHERE unmatched.tenant_id = %(tenant_id)s AND unmatched.bank_account_ref = %(bank_account_ref)s
    AND unmatched.item_date <= %(item_date)s::date
    AND (
        unmatched.item_date < %(item_date)s::date
        OR (unmatched.side, unmatched.source_id, unmatched.sequence)
        < (%(side)s::"char", %(source_id)s::uuid, %(sequence)s)
    )
ORDER BY unmatched.item_date DESC, unmatched.side DESC, unmatched.source_id DESC, unmatched.sequence DESC
LIMIT %(count)s
