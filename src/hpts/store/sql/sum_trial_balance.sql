-- store/accounting_reads.py: all debits and credits of every account in the layer $2, by currency, in
-- the currency $3 where one is given. One statement, so one moment: the sides are equal. Takes no lock.
SELECT account_code, currency, sum(debit_minor), sum(credit_minor)
FROM account_totals
WHERE tenant_id = $1::uuid AND layer = $2::"char" AND ($3::text IS NULL OR currency = $3::text)
GROUP BY account_code, currency
ORDER BY currency, account_code
