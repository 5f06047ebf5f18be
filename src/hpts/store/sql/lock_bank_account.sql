-- store/bank_session.py: whoever changes a bank account's items or matches locks its cursor first, and
-- keeps it to the end of the transaction.
SELECT block_number, matching_is_due
FROM bank_cursors
WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
FOR UPDATE
