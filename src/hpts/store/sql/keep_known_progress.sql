-- store/known_fold.py: how far the tenant's chain is folded now. Under the lock of the row.
UPDATE known_progress
SET block_number = %(block_number)s, last_entry_id = %(last_entry_id)s, slice_lines = %(slice_lines)s
WHERE tenant_id = %(tenant_id)s
