-- store/accounting_reads.py: as sum_trial_balance, effective by the day $4. For each account and
-- currency ever used, which the totals for ever name: its months before, then the days of the month.
WITH used AS (
    SELECT DISTINCT account_code, currency
    FROM account_totals
    WHERE tenant_id = $1::uuid AND layer = $2::"char" AND ($3::text IS NULL OR currency = $3::text)
)
SELECT used.account_code, used.currency,
    coalesce(sum(counted.debit_minor), 0), coalesce(sum(counted.credit_minor), 0)
FROM used
LEFT JOIN LATERAL (
    SELECT debit_minor, credit_minor
    FROM account_month_totals AS total
    WHERE total.tenant_id = $1::uuid AND total.account_code = used.account_code
        AND total.currency = used.currency AND total.layer = $2::"char"
        AND total.month < date_trunc('month', $4::date::timestamp)::date
    UNION ALL
    SELECT debit_minor, credit_minor
    FROM account_day_totals AS total
    WHERE total.tenant_id = $1::uuid AND total.account_code = used.account_code
        AND total.currency = used.currency AND total.layer = $2::"char"
        AND total.effective_at >= date_trunc('month', $4::date::timestamp)::date
        AND total.effective_at <= $4::date
) AS counted ON true
GROUP BY used.account_code, used.currency
ORDER BY used.currency, used.account_code
