-- store/append.py, second pipeline: adds the batch to its writer's stripe ($2) of the accounts' totals:
-- for ever, by month and by day of effect. One statement, for each costs more than its rows.
WITH added AS (
    SELECT account_code, currency, layer, effective_at, debit_minor, credit_minor
    FROM unnest($3::smallint[], $4::text[], $5::"char"[], $6::date[], $7::bigint[], $8::bigint[])
        AS added (account_code, currency, layer, effective_at, debit_minor, credit_minor)
),
added_for_ever AS (
    INSERT INTO account_totals AS total (
        tenant_id, stripe, account_code, currency, layer, debit_minor, credit_minor
    )
    SELECT $1::uuid, $2::smallint, account_code, currency, layer,
        sum(debit_minor)::bigint, sum(credit_minor)::bigint
    FROM added
    GROUP BY account_code, currency, layer
    ON CONFLICT ON CONSTRAINT account_total_stands_once DO UPDATE
    SET debit_minor = total.debit_minor + excluded.debit_minor,
        credit_minor = total.credit_minor + excluded.credit_minor
),
added_by_month AS (
    INSERT INTO account_month_totals AS total (
        tenant_id, stripe, account_code, currency, layer, month, debit_minor, credit_minor
    )
    SELECT $1::uuid, $2::smallint, account_code, currency, layer,
        date_trunc('month', effective_at::timestamp)::date AS month,
        sum(debit_minor)::bigint, sum(credit_minor)::bigint
    FROM added
    GROUP BY account_code, currency, layer, month
    ON CONFLICT ON CONSTRAINT account_month_total_stands_once DO UPDATE
    SET debit_minor = total.debit_minor + excluded.debit_minor,
        credit_minor = total.credit_minor + excluded.credit_minor
)
INSERT INTO account_day_totals AS total (
    tenant_id, stripe, account_code, currency, layer, effective_at, debit_minor, credit_minor
)
SELECT $1::uuid, $2::smallint, account_code, currency, layer, effective_at, debit_minor, credit_minor
FROM added
ON CONFLICT ON CONSTRAINT account_day_total_stands_once DO UPDATE
SET debit_minor = total.debit_minor + excluded.debit_minor,
    credit_minor = total.credit_minor + excluded.credit_minor
