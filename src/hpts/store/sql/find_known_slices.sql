-- store/known_fold.py: where the slices begin from that of one entry to that of another, in their order.
SELECT from_entry_id
FROM known_slices
WHERE tenant_id = %(tenant_id)s AND from_entry_id <= %(last_entry_id)s
    AND from_entry_id >= (
        SELECT coalesce((
            SELECT from_entry_id FROM known_slices
            WHERE tenant_id = %(tenant_id)s AND from_entry_id <= %(first_entry_id)s
            ORDER BY from_entry_id DESC
            LIMIT 1
        ), '00000000-0000-0000-0000-000000000000')
    )
ORDER BY from_entry_id
