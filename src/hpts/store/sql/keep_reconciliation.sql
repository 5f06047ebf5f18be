-- store/reconcile.py: keeps the latest result of a day.
INSERT INTO reconciliation_results AS kept (tenant_id, as_of_date, checked_at, result)
VALUES (%(tenant_id)s, %(as_of_date)s, %(checked_at)s, %(result)s)
ON CONFLICT ON CONSTRAINT reconciliation_day_has_one_result DO UPDATE
SET checked_at = excluded.checked_at, result = excluded.result
WHERE kept.checked_at <= excluded.checked_at
