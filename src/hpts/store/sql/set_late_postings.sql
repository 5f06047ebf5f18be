-- store/tenants.py: what becomes of a posting into a closed period; as hpts_owner.
UPDATE tenants SET late_postings = %(late_postings)s WHERE tenant_id = %(tenant_id)s
