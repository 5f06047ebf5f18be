-- store/reconcile_run.py: how far the tenant is reconciled now. Under the tenant's reconciliation lock.
INSERT INTO reconciliation_progress (tenant_id, block_number, compared_block, checked_at, full_at, known)
VALUES (%(tenant_id)s, %(block_number)s, %(compared_block)s, %(checked_at)s, %(full_at)s, %(known)s)
ON CONFLICT ON CONSTRAINT reconciliation_progress_stands_once DO UPDATE
SET block_number = excluded.block_number, compared_block = excluded.compared_block,
    checked_at = excluded.checked_at, full_at = excluded.full_at, known = excluded.known
