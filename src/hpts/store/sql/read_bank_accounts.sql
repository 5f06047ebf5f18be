-- store/bank_accounts.py and bank_reads.py: the tenant's bank accounts. Takes no lock.
SELECT bank_account_ref, account_code, currency,
    ARRAY(
        SELECT identifier
        FROM bank_account_identifiers AS named
        WHERE named.tenant_id = account.tenant_id AND named.bank_account_ref = account.bank_account_ref
        ORDER BY identifier
    ) AS identifiers
FROM bank_accounts AS account
WHERE tenant_id = %(tenant_id)s
ORDER BY bank_account_ref
