-- store/reconcile.py: accounts whose totals differ from their lines, everything counted: the sums for
-- ever, by month and by day are each held against the lines. One snapshot; reads the whole journal.
WITH by_line AS (
    SELECT account_code, currency, layer,
        coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0) AS debit,
        coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0) AS credit
    FROM journal_lines WHERE tenant_id = %(tenant_id)s GROUP BY account_code, currency, layer
), by_total AS (
    SELECT kept, account_code, currency, layer, sum(debit_minor) AS debit, sum(credit_minor) AS credit
    FROM (
        SELECT 'ever' AS kept, account_code, currency, layer, debit_minor, credit_minor
        FROM account_totals WHERE tenant_id = %(tenant_id)s
        UNION ALL
        SELECT 'month', account_code, currency, layer, debit_minor, credit_minor
        FROM account_month_totals WHERE tenant_id = %(tenant_id)s
        UNION ALL
        SELECT 'day', account_code, currency, layer, debit_minor, credit_minor
        FROM account_day_totals WHERE tenant_id = %(tenant_id)s
    ) AS totals
    GROUP BY kept, account_code, currency, layer
), expected AS (
    SELECT kind.kept, by_line.* FROM by_line
    CROSS JOIN (VALUES ('ever'), ('month'), ('day')) AS kind (kept)
)
SELECT account_code, kept, currency, layer,
    coalesce(expected.debit, 0) AS lines_debit, coalesce(by_total.debit, 0) AS total_debit,
    coalesce(expected.credit, 0) AS lines_credit, coalesce(by_total.credit, 0) AS total_credit
FROM expected FULL JOIN by_total USING (kept, account_code, currency, layer)
WHERE coalesce(expected.debit, 0) <> coalesce(by_total.debit, 0)
    OR coalesce(expected.credit, 0) <> coalesce(by_total.credit, 0)
ORDER BY account_code, currency, layer, kept
