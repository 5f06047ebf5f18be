-- store/reconcile_loans.py: before all loans are added up anew. Under the tenant's reconciliation lock.
DELETE FROM reconciliation_loans WHERE tenant_id = %(tenant_id)s
