-- store/reconcile_lines.py: adds sums of lines to those kept. Under the tenant's reconciliation lock.
INSERT INTO reconciliation_sums AS kept
    (tenant_id, account_code, currency, layer, kept, period, debit_minor, credit_minor)
SELECT %(tenant_id)s, added.*
FROM unnest(
    %(account_codes)s::smallint[], %(currencies)s::text[], %(layers)s::"char"[], %(kept)s::"char"[],
    %(periods)s::date[], %(debits)s::numeric[], %(credits)s::numeric[]
) AS added
ON CONFLICT ON CONSTRAINT reconciliation_sum_stands_once DO UPDATE
SET debit_minor = kept.debit_minor + excluded.debit_minor,
    credit_minor = kept.credit_minor + excluded.credit_minor
