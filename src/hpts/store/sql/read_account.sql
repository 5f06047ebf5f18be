-- store/reads.py: an account of the tenant's chart. Takes no lock.
SELECT name, normal_balance
FROM accounts
WHERE tenant_id = $1::uuid AND account_code = $2::smallint
