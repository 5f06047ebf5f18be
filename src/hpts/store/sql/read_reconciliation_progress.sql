-- store/reconcile_run.py: how far the tenant is reconciled.
SELECT block_number, compared_block, full_at, known::text
FROM reconciliation_progress
WHERE tenant_id = %(tenant_id)s
