-- store/migrate.py: where applied migrations are recorded; as hpts_owner.
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer NOT NULL CONSTRAINT migration_is_applied_once PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON schema_migrations TO hpts_app
