-- store/bank_accounts.py: a bank account of the tenant; none where its chart has no such ledger account.
INSERT INTO bank_accounts (tenant_id, bank_account_ref, account_code, currency, added_by)
SELECT tenant_id, %(bank_account_ref)s, account_code, %(currency)s, %(actor)s
FROM accounts
WHERE tenant_id = %(tenant_id)s AND account_code = %(account_code)s
