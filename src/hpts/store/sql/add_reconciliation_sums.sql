-- store/reconcile_lines.py: adds sums of lines by day of effect to those kept for ever, by month and by day.
-- Under the tenant's reconciliation lock.
INSERT INTO reconciliation_sums AS kept
    (tenant_id, account_code, currency, layer, kept, period, debit_minor, credit_minor)
SELECT %(tenant_id)s, account_code, currency, layer, kind.kept, kind.period, sum(debit), sum(credit)
FROM unnest(
    %(account_codes)s::smallint[], %(currencies)s::text[], %(layers)s::"char"[], %(days)s::date[],
    %(debits)s::numeric[], %(credits)s::numeric[]
) AS added (account_code, currency, layer, effective_at, debit, credit)
CROSS JOIN LATERAL (
    VALUES ('E'::"char", date '0001-01-01'),
        ('M'::"char", date_trunc('month', effective_at::timestamp)::date),
        ('D'::"char", effective_at)
) AS kind (kept, period)
GROUP BY account_code, currency, layer, kind.kept, kind.period
ON CONFLICT ON CONSTRAINT reconciliation_sum_stands_once DO UPDATE
SET debit_minor = kept.debit_minor + excluded.debit_minor,
    credit_minor = kept.credit_minor + excluded.credit_minor
