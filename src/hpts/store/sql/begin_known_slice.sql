-- store/known_fold.py: a new slice. Under the lock of the tenant's progress.
INSERT INTO known_slices (tenant_id, from_entry_id) VALUES (%(tenant_id)s, %(from_entry_id)s)
