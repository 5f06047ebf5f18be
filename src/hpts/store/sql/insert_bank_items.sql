-- store/bank_ledger.py: items of a bank account, open unless they are repeated. Under the account's lock.
WITH inserted AS (
    INSERT INTO bank_items (
        tenant_id, bank_account_ref, side, source_id, sequence, amount_minor, item_date, value_date,
        item_references, description, batch, is_reversal, reverses_entry_id, identity_digest, is_repeated
    )
    SELECT %(tenant_id)s, %(bank_account_ref)s, side, source_id, sequence, amount_minor, item_date,
        value_date, item_references, description, batch, is_reversal, reverses_entry_id, identity_digest,
        is_repeated
    FROM jsonb_to_recordset(%(items)s::jsonb) AS item (
        side "char", source_id uuid, sequence integer, amount_minor bigint, item_date date, value_date date,
        item_references text[], description text, batch text, is_reversal boolean, reverses_entry_id uuid,
        identity_digest bytea, is_repeated boolean
    )
    RETURNING tenant_id, bank_account_ref, item_date, side, source_id, sequence, amount_minor, is_repeated
)
INSERT INTO bank_open_items (
    tenant_id, bank_account_ref, item_date, side, source_id, sequence, amount_minor
)
SELECT tenant_id, bank_account_ref, item_date, side, source_id, sequence, amount_minor
FROM inserted
WHERE NOT is_repeated
