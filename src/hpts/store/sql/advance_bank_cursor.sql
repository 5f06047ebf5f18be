-- store/bank_ledger.py: the cash lines up to this block are taken over, and are yet to be matched where there
-- were any. Under the account's lock.
UPDATE bank_cursors
SET block_number = %(block_number)s, matching_is_due = matching_is_due OR %(has_lines)s
WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
