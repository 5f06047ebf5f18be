-- store/migrate.py, before the migrations: the two roles, which belong to the whole server and may be
-- there already. hpts_owner owns the tables; hpts_app is what the API becomes, with no way to more.
-- A migration of another database of the server may make the same role at the same moment. Each step
-- expects that by itself: an exception undoes all that its block did before.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hpts_owner') THEN
        BEGIN
            CREATE ROLE hpts_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hpts_app') THEN
        BEGIN
            CREATE ROLE hpts_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'hpts_owner', 'MEMBER') THEN
        BEGIN
            EXECUTE format('GRANT hpts_owner TO %I', current_user);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    IF NOT has_schema_privilege('hpts_owner', 'public', 'CREATE') THEN
        GRANT CREATE, USAGE ON SCHEMA public TO hpts_owner;
    END IF;
END
$$
