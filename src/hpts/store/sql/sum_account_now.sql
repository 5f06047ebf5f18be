-- store/reads.py: all debits and credits of the account $2 in the currency $3 and layer $4. Takes no lock.
SELECT coalesce(sum(debit_minor), 0), coalesce(sum(credit_minor), 0)
FROM account_totals
WHERE tenant_id = $1::uuid AND account_code = $2::smallint AND currency = $3::text AND layer = $4::"char"
