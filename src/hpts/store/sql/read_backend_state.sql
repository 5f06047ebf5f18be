-- store/silence.py: whether a backend is at work on what it was sent; not, where it waits for its client.
-- NULL where that is not shown to us, no row where it is gone. Locks nothing.
SELECT
    CASE
        WHEN state <> 'disabled' THEN state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'
    END AS is_working
FROM pg_stat_activity
WHERE pid = %(pid)s
