-- store/verify_chart.py: a tenant's chart of accounts. Takes no lock.
SELECT account_code, name, account_type, normal_balance, role
FROM accounts
WHERE tenant_id = %(tenant_id)s
ORDER BY account_code
