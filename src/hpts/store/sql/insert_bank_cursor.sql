-- store/bank_accounts.py: no cash line of the ledger was taken over for a new bank account yet.
INSERT INTO bank_cursors (tenant_id, bank_account_ref, block_number)
VALUES (%(tenant_id)s, %(bank_account_ref)s, 0)
