-- store/reconcile.py: the currency of the tenant's first entry.
SELECT currency FROM journal_lines
WHERE tenant_id = %(tenant_id)s
ORDER BY tenant_id, journal_entry_id, sequence
LIMIT 1
