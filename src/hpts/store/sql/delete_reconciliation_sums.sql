-- store/reconcile_lines.py: before all lines are added up anew. Under the tenant's reconciliation lock.
DELETE FROM reconciliation_sums WHERE tenant_id = %(tenant_id)s
