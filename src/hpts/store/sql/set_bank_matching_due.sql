-- store/bank_matches.py: whether items wait for the rules. Under the account's lock.
UPDATE bank_cursors
SET matching_is_due = %(is_due)s
WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
