-- store/verify_periods.py: through which day a tenant's books are closed. Takes no lock.
SELECT closed_through
FROM ledger_heads
WHERE tenant_id = %(tenant_id)s
