-- store/bank_matches.py: matches, numbered on from the account's last. Under the account's lock.
INSERT INTO bank_matches (
    tenant_id, match_id, bank_account_ref, match_number, rule, explanation, amount_minor, first_date,
    last_date, matched_by
)
SELECT %(tenant_id)s, match_id, %(bank_account_ref)s, last_number + position, rule, explanation, amount_minor,
    first_date, last_date, %(actor)s
FROM jsonb_to_recordset(%(matches)s::jsonb) AS found (
    match_id uuid, position integer, rule text, explanation text, amount_minor bigint, first_date date,
    last_date date
)
CROSS JOIN (
    SELECT coalesce(max(match_number), 0) AS last_number
    FROM bank_matches
    WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
) AS numbered
