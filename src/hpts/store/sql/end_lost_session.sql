-- store/silence.py: ends a session of ours whose link has fallen silent, so that its locks are free. One
-- that is at work after all goes on, and so does another program's that was given its number. Locks nothing.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE pid = %(pid)s
    AND application_name = 'hpts'
    AND usename = session_user
    AND (state <> 'active' OR wait_event_type = 'Client')
