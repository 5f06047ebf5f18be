-- Tenants and their charts of accounts. A tenant is one ledger and shares nothing with another.

CREATE TABLE tenants (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT tenant_is_known_once PRIMARY KEY (tenant_id),
    CONSTRAINT tenant_name_has_1_to_200_letters CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT tenant_status_is_known CHECK (status IN ('active', 'suspended'))
);

-- The tenant whose rows the transaction may see: set by enter_tenant.sql, nothing without it.
-- The scalar sub-select makes PostgreSQL evaluate it once a statement, not once a row.
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_itself ON tenants
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));
CREATE POLICY owner_administers_tenants ON tenants TO hpts_owner USING (true) WITH CHECK (true);

CREATE TABLE accounts (
    tenant_id uuid NOT NULL,
    account_code smallint NOT NULL,
    name text NOT NULL,
    account_type text NOT NULL,
    normal_balance "char" NOT NULL,
    role text NOT NULL,
    CONSTRAINT account_code_is_used_once PRIMARY KEY (tenant_id, account_code),
    CONSTRAINT account_role_is_filled_once UNIQUE (tenant_id, role),
    CONSTRAINT account_code_has_four_digits CHECK (account_code BETWEEN 0 AND 9999),
    CONSTRAINT account_normal_balance_is_debit_or_credit CHECK (normal_balance IN ('D', 'C')),
    CONSTRAINT account_type_is_known CHECK (account_type IN (
        'asset', 'contra-asset', 'liability', 'equity', 'income', 'contra-income', 'expense', 'memorandum'
    ))
);

ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON accounts
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT ON tenants, accounts TO hpts_app;
