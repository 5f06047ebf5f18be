-- store/append.py, second pipeline: adds the batch to its writer's stripe ($2) of the accounts' totals.
INSERT INTO account_totals AS total (
    tenant_id, stripe, account_code, currency, layer, debit_minor, credit_minor
)
SELECT $1::uuid, $2::smallint, added.account_code, added.currency, added.layer,
    sum(added.debit_minor)::bigint, sum(added.credit_minor)::bigint
FROM unnest($3::smallint[], $4::text[], $5::"char"[], $6::bigint[], $7::bigint[])
    AS added (account_code, currency, layer, debit_minor, credit_minor)
GROUP BY added.account_code, added.currency, added.layer
ORDER BY added.account_code, added.currency, added.layer
ON CONFLICT ON CONSTRAINT account_total_stands_once DO UPDATE
SET debit_minor = total.debit_minor + excluded.debit_minor,
    credit_minor = total.credit_minor + excluded.credit_minor
