-- store/vital_signs.py: how far each standby is behind, in bytes of the log and in seconds. As the login,
-- which sees nothing of it without pg_monitor. Takes no lock.
SELECT application_name,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS behind_bytes,
    extract(epoch FROM replay_lag)::double precision AS behind_seconds
FROM pg_stat_replication
WHERE NOT pg_is_in_recovery() AND replay_lsn IS NOT NULL
ORDER BY application_name, pid
LIMIT 20
