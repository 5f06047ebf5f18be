-- store/verify_totals.py: every stripe of the accounts' totals, by a cursor. Takes no lock.
SELECT account_code, currency, layer, NULL::date AS from_day, debit_minor, credit_minor
FROM account_totals
WHERE tenant_id = %(tenant_id)s
