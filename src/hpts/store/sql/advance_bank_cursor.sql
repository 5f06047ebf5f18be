-- store/bank_ledger.py: the cash lines up to this block are taken over. Under the account's lock.
UPDATE bank_cursors
SET block_number = %(block_number)s
WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
