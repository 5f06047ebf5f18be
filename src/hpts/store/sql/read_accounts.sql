-- store/tenants.py and ledger.py: the tenant's chart of accounts. Takes no lock.
SELECT account_code, name, account_type, normal_balance, role
FROM accounts
WHERE tenant_id = $1::uuid
ORDER BY account_code
