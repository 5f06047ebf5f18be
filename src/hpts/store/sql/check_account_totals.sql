-- store/append.py, second pipeline, right before COMMIT: fails (22003) when the total of an account
-- of the batch over all stripes passes int64. It follows append_block, whose lock lets it see every
-- committed batch of the tenant, so that two writers cannot pass the bound together.
SELECT sum(total.debit_minor)::bigint, sum(total.credit_minor)::bigint
FROM account_totals AS total
WHERE total.tenant_id = $1::uuid AND total.account_code = ANY ($2::smallint[])
GROUP BY total.account_code, total.currency, total.layer
