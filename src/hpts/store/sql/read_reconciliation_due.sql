-- store/reconcile_schedule.py: a row where a reconciliation is due, and whether it is a full proof.
SELECT full_is_due
FROM ledger_heads AS head
LEFT JOIN reconciliation_progress AS progress USING (tenant_id)
CROSS JOIN LATERAL (
    SELECT progress.full_at IS NULL
        OR progress.full_at < clock_timestamp() - make_interval(secs => %(full_every_seconds)s) AS full_is_due
) AS due
WHERE head.tenant_id = %(tenant_id)s
    AND (head.block_number > coalesce(progress.block_number, 0)
        OR (full_is_due AND progress.block_number > 0))
