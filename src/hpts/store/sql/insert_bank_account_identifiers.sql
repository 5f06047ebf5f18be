-- store/bank_accounts.py: how files name a new bank account.
INSERT INTO bank_account_identifiers (tenant_id, identifier, bank_account_ref)
SELECT %(tenant_id)s, identifier, %(bank_account_ref)s
FROM unnest(%(identifiers)s::text[]) AS identifier
