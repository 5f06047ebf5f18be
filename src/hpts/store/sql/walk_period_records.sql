-- store/verify_periods.py: every closing and reopening of a tenant's books, in order. Takes no lock.
SELECT record_number, kind, closed_through, reason, actor, recorded_at, block_number
FROM period_records
WHERE tenant_id = %(tenant_id)s
ORDER BY record_number
