-- store/reconcile_schedule.py: for whom there is something to do; nothing else of them is seen.
SELECT tenant_id FROM active_tenants() AS tenant_id
