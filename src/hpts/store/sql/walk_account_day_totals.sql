-- store/verify_totals.py: as walk_account_totals, by day of effect.
SELECT account_code, currency, layer, effective_at AS from_day, debit_minor, credit_minor
FROM account_day_totals
WHERE tenant_id = %(tenant_id)s
