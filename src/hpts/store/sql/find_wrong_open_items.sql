-- store/verify_bank.py: the first item that is not exactly one of repeated, unmatched, and in one match that
-- was not undone. Takes no lock.
SELECT 'bank_items ' || side::text || ' ' || source_id || ' ' || sequence
FROM (
    SELECT side, source_id, sequence, bank_account_ref, item_date, amount_minor, is_repeated
    FROM bank_items
    WHERE tenant_id = %(tenant_id)s
) AS item
FULL JOIN (
    SELECT side, source_id, sequence, bank_account_ref, item_date, amount_minor, true AS is_open
    FROM bank_open_items
    WHERE tenant_id = %(tenant_id)s
) AS unmatched USING (side, source_id, sequence, bank_account_ref, item_date, amount_minor)
FULL JOIN (
    SELECT side, source_id, sequence, count(*) AS match_count
    FROM bank_match_items AS was_in
    WHERE tenant_id = %(tenant_id)s AND NOT EXISTS (
        SELECT FROM bank_match_undos AS undone
        WHERE undone.tenant_id = %(tenant_id)s AND undone.match_id = was_in.match_id
    )
    GROUP BY side, source_id, sequence
) AS matched USING (side, source_id, sequence)
WHERE item.is_repeated IS NULL
    OR coalesce(match_count, 0) + coalesce(is_open, false)::integer + item.is_repeated::integer <> 1
ORDER BY side, source_id, sequence
LIMIT 1
