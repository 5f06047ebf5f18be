-- store/reconcile.py: the result kept for a past day. Takes no lock.
SELECT result::text FROM reconciliation_results
WHERE tenant_id = %(tenant_id)s AND as_of_date = %(as_of_date)s
