-- store/bank_accounts.py and bank_reads.py: the tenant's bank accounts. Takes no lock. Grouped, not joined:
-- no index has the identifiers of one account together.
SELECT bank_account_ref, max(account_code) AS account_code, max(currency) AS currency,
    array_remove(array_agg(identifier ORDER BY identifier), NULL) AS identifiers
FROM (
    SELECT bank_account_ref, account_code, currency, NULL AS identifier
    FROM bank_accounts
    WHERE tenant_id = %(tenant_id)s
    UNION ALL
    SELECT bank_account_ref, NULL, NULL, identifier
    FROM bank_account_identifiers
    WHERE tenant_id = %(tenant_id)s
) AS found
GROUP BY bank_account_ref
ORDER BY bank_account_ref
