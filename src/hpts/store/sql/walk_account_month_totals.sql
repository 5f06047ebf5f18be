-- store/verify_totals.py: as walk_account_totals, by month of effect.
SELECT account_code, currency, layer, month AS from_day, debit_minor, credit_minor
FROM account_month_totals
WHERE tenant_id = %(tenant_id)s
