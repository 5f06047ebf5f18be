-- store/tenants.py: an account of a new tenant's chart; as hpts_owner.
INSERT INTO accounts (tenant_id, account_code, name, account_type, normal_balance, role)
VALUES (%(tenant_id)s, %(account_code)s, %(name)s, %(account_type)s, %(normal_balance)s, %(role)s)
