-- store/reconcile_lines.py: accounts whose totals differ from what their lines add up to: the totals for
-- ever and by month all, those by day all or of the days named. One snapshot; takes no lock.
WITH by_line AS (
    SELECT kept, account_code, currency, layer, period, debit_minor AS debit, credit_minor AS credit
    FROM reconciliation_sums
    WHERE tenant_id = %(tenant_id)s
        AND (kept <> 'D' OR %(all_days)s OR period = ANY (%(days)s::date[]))
), by_total AS (
    SELECT kept, account_code, currency, layer, period, sum(debit_minor) AS debit, sum(credit_minor) AS credit
    FROM (
        SELECT 'E'::"char" AS kept, account_code, currency, layer, date '0001-01-01' AS period,
            debit_minor, credit_minor
        FROM account_totals WHERE tenant_id = %(tenant_id)s
        UNION ALL
        SELECT 'M'::"char", account_code, currency, layer, month, debit_minor, credit_minor
        FROM account_month_totals WHERE tenant_id = %(tenant_id)s
        UNION ALL
        SELECT 'D'::"char", account_code, currency, layer, effective_at, debit_minor, credit_minor
        FROM account_day_totals
        WHERE tenant_id = %(tenant_id)s AND (%(all_days)s OR effective_at = ANY (%(days)s::date[]))
    ) AS totals
    GROUP BY kept, account_code, currency, layer, period
)
SELECT account_code, currency, layer, kept, period,
    coalesce(by_line.debit, 0) AS lines_debit, coalesce(by_total.debit, 0) AS total_debit,
    coalesce(by_line.credit, 0) AS lines_credit, coalesce(by_total.credit, 0) AS total_credit
FROM by_line FULL JOIN by_total USING (kept, account_code, currency, layer, period)
WHERE coalesce(by_line.debit, 0) <> coalesce(by_total.debit, 0)
    OR coalesce(by_line.credit, 0) <> coalesce(by_total.credit, 0)
ORDER BY account_code, currency, layer, kept, period
