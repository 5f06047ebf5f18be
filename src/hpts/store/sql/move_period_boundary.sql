-- store/periods.py: through which day the books are closed from now on. lock_head holds the row.
UPDATE ledger_heads SET closed_through = %(closed_through)s WHERE tenant_id = %(tenant_id)s
