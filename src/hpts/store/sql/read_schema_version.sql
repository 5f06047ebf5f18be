-- http/health.py through store/reads.py: the newest migration applied, and whether the
-- server takes no writes, as a standby does. Takes no lock.
SELECT max(version), current_setting('transaction_read_only') = 'on' FROM schema_migrations
