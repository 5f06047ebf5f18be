-- store/reads.py: as sum_account_now, effective by the day $5: the months before it, then its days.
SELECT coalesce(sum(debit_minor), 0), coalesce(sum(credit_minor), 0)
FROM (
    SELECT debit_minor, credit_minor
    FROM account_month_totals
    WHERE tenant_id = $1::uuid AND account_code = $2::smallint AND currency = $3::text
        AND layer = $4::"char" AND month < date_trunc('month', $5::date::timestamp)::date
    UNION ALL
    SELECT debit_minor, credit_minor
    FROM account_day_totals
    WHERE tenant_id = $1::uuid AND account_code = $2::smallint AND currency = $3::text
        AND layer = $4::"char" AND effective_at >= date_trunc('month', $5::date::timestamp)::date
        AND effective_at <= $5::date
) AS counted
