-- store/verify_bank.py: the first match whose sides are not both the amount that it names, whose days or
-- account are not its items', or that has fewer than two. Takes no lock.
SELECT 'bank_matches ' || match_id
FROM (
    SELECT match_id, bank_account_ref, amount_minor, first_date, last_date
    FROM bank_matches
    WHERE tenant_id = %(tenant_id)s
) AS made
FULL JOIN (
    SELECT was_in.match_id, item.bank_account_ref, count(*) AS item_count,
        coalesce(sum(item.amount_minor) FILTER (WHERE item.side = 'B'), 0) AS at_bank,
        coalesce(sum(item.amount_minor) FILTER (WHERE item.side = 'L'), 0) AS in_ledger,
        min(item.item_date) AS first_date, max(item.item_date) AS last_date
    FROM bank_match_items AS was_in
    LEFT JOIN bank_items AS item
        ON item.tenant_id = %(tenant_id)s AND item.side = was_in.side
        AND item.source_id = was_in.source_id AND item.sequence = was_in.sequence
    WHERE was_in.tenant_id = %(tenant_id)s
    GROUP BY was_in.match_id, item.bank_account_ref
) AS found USING (match_id, bank_account_ref, first_date, last_date)
WHERE coalesce(found.item_count, 0) < 2
    OR made.amount_minor IS DISTINCT FROM found.at_bank
    OR made.amount_minor IS DISTINCT FROM found.in_ledger
ORDER BY match_id
LIMIT 1
