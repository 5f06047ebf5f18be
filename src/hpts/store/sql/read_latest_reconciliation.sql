-- store/vital_signs.py: the tenant's latest reconciliation and how old it is. Takes no lock.
SELECT extract(epoch FROM clock_timestamp() - checked_at)::double precision AS age_seconds, result::text
FROM reconciliation_results
WHERE tenant_id = %(tenant_id)s
ORDER BY as_of_date DESC
LIMIT 1
