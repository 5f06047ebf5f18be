-- The latest reconciliation result of each day, so that a past day can be asked for.

CREATE TABLE reconciliation_results (
    tenant_id uuid NOT NULL,
    as_of_date date NOT NULL,
    checked_at timestamptz NOT NULL,
    result json NOT NULL,
    CONSTRAINT reconciliation_day_has_one_result PRIMARY KEY (tenant_id, as_of_date)
);

ALTER TABLE reconciliation_results ENABLE ROW LEVEL SECURITY;
ALTER TABLE reconciliation_results FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_its_own ON reconciliation_results
    USING (tenant_id = (SELECT nullif(current_setting('hpts.tenant_id', true), '')::uuid));

GRANT SELECT, INSERT, UPDATE ON reconciliation_results TO hpts_app;
