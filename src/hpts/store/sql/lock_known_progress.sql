-- store/known_fold.py: how far the tenant's chain is folded, locked; no row where another worker folds.
WITH begun AS (
    INSERT INTO known_progress (tenant_id, block_number, last_entry_id, slice_lines)
    VALUES (%(tenant_id)s, 0, '00000000-0000-0000-0000-000000000000', 0)
    ON CONFLICT ON CONSTRAINT known_progress_stands_once DO NOTHING
    RETURNING block_number, last_entry_id, slice_lines
), kept AS (
    SELECT block_number, last_entry_id, slice_lines
    FROM known_progress
    WHERE tenant_id = %(tenant_id)s
    FOR UPDATE SKIP LOCKED
)
SELECT block_number, last_entry_id, slice_lines FROM begun
UNION ALL
SELECT block_number, last_entry_id, slice_lines FROM kept
