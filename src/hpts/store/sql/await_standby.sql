-- store/append.py: before the COMMIT of a batch that only answers what was posted earlier. What it finds may
-- have been committed on this server alone (see wire.py), so a record of no meaning goes into the log and
-- the COMMIT waits until the synchronous standby has everything up to it. Takes no lock.
SELECT pg_logical_emit_message(true, 'hpts', ''::text)
WHERE current_setting('synchronous_standby_names') <> ''
