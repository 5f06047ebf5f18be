-- store/tenants.py: block 0 of a new tenant; its hash is that of the tenant's identifier.
INSERT INTO ledger_heads (tenant_id, block_number, previous_hash, block_hash)
VALUES (%(tenant_id)s, 0, ''::bytea, sha256(uuid_send(%(tenant_id)s)))
