-- store/bank_imports.py: how often lines of these identities stand in earlier statements. Under the
-- account's lock.
SELECT identity_digest, count(*)
FROM bank_items
WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
    AND identity_digest = ANY (%(identities)s::bytea[]) AND NOT is_repeated
GROUP BY identity_digest
