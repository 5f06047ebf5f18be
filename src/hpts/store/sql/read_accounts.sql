-- store/reads.py, store/accounting_reads.py, store/tenants.py: the tenant's chart. Takes no lock.
SELECT account_code, name, account_type, normal_balance, role
FROM accounts
WHERE tenant_id = $1::uuid
ORDER BY account_code
