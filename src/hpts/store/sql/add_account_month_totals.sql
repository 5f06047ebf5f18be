-- store/append.py, second pipeline: as add_account_totals, by month of effect.
INSERT INTO account_month_totals AS total (
    tenant_id, stripe, account_code, currency, layer, month, debit_minor, credit_minor
)
SELECT $1::uuid, $2::smallint, added.account_code, added.currency, added.layer,
    date_trunc('month', added.effective_at::timestamp)::date AS month,
    sum(added.debit_minor)::bigint, sum(added.credit_minor)::bigint
FROM unnest($3::smallint[], $4::text[], $5::"char"[], $6::date[], $7::bigint[], $8::bigint[])
    AS added (account_code, currency, layer, effective_at, debit_minor, credit_minor)
GROUP BY added.account_code, added.currency, added.layer, month
ORDER BY added.account_code, added.currency, added.layer, month
ON CONFLICT ON CONSTRAINT account_month_total_stands_once DO UPDATE
SET debit_minor = total.debit_minor + excluded.debit_minor,
    credit_minor = total.credit_minor + excluded.credit_minor
