-- store/bank_matches.py: the items of new matches. Under the account's lock.
INSERT INTO bank_match_items (tenant_id, match_id, side, source_id, sequence)
SELECT %(tenant_id)s, match_id, side, source_id, sequence
FROM jsonb_to_recordset(%(items)s::jsonb) AS item (
    match_id uuid, side "char", source_id uuid, sequence integer
)
