-- http/health.py through store/reads.py: the newest migration applied. Takes no lock.
SELECT max(version) FROM schema_migrations
