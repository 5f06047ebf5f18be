"""Migrations: in order, once, under one lock; a history that differs from the files stops all."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hpts.embedded import EmbeddedPostgres
from hpts.store.migrate import (
    MIGRATION_LOCK,
    Migration,
    MigrationError,
    check_schema,
    load_migrations,
    migrate,
)
from hpts.store.tenants import add_tenant

MakeDatabase = Callable[[], str]
OURS = load_migrations()


@pytest.fixture
def empty_url(new_database: MakeDatabase) -> str:
    return new_database()


def fetch(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def applied(url: str) -> list[tuple[Any, ...]]:
    return fetch(url, "SELECT version, name, checksum FROM schema_migrations ORDER BY version")


def next_migration(text: str, name: str = "do_more") -> Migration:
    version = len(OURS) + 1
    return Migration(version, f"{version:04d}_{name}.sql", text)


def test_every_file_is_applied_in_order_with_its_checksum(empty_url: str) -> None:
    reported: list[str] = []
    assert migrate(empty_url, report=reported.append) == len(OURS)
    assert reported == [f"applied {migration.name}" for migration in OURS]
    assert applied(empty_url) == [
        (migration.version, migration.name, migration.checksum) for migration in OURS
    ]
    check_schema(empty_url)


def test_migrating_again_does_nothing(empty_url: str) -> None:
    migrate(empty_url)
    before = fetch(empty_url, "SELECT * FROM schema_migrations ORDER BY version")
    reported: list[str] = []
    assert migrate(empty_url, report=reported.append) == 0
    assert reported == []
    assert fetch(empty_url, "SELECT * FROM schema_migrations ORDER BY version") == before


def test_only_what_is_missing_is_applied(empty_url: str) -> None:
    migrate(empty_url, migrations=OURS[:2])
    assert migrate(empty_url) == len(OURS) - 2
    more = [*OURS, next_migration("CREATE TABLE later (id int)")]
    assert migrate(empty_url, migrations=more) == 1
    assert fetch(empty_url, "SELECT count(*) FROM later") == [(0,)]


def test_tenants_that_are_reconciled_when_it_comes_are_known_to_be_compared(
    empty_url: str,
) -> None:
    """Row-level security holds for the owner too, who would change no row of theirs."""
    migrate(empty_url, migrations=[one for one in OURS if one.version <= 20])
    execute(
        empty_url,
        "INSERT INTO reconciliation_progress (tenant_id, block_number, checked_at, full_at, known)"
        " SELECT gen_random_uuid(), block, now(), now(), '{}' FROM unnest(ARRAY[7, 0]) AS block",
    )
    migrate(empty_url)
    rows = "SELECT block_number, compared_block FROM reconciliation_progress ORDER BY block_number"
    assert fetch(empty_url, rows) == [(0, 0), (7, 7)]
    forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'reconciliation_progress'"
    assert fetch(empty_url, forced) == [(True,)]


def run_together(*calls: Callable[[], Any]) -> list[Any]:
    """The results of the calls, each in a thread of its own; an exception is a result."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(at: int) -> None:
        barrier.wait()
        try:
            results[at] = calls[at]()
        except Exception as error:
            results[at] = error

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_at_once_apply_each_migration_once(empty_url: str) -> None:
    results = run_together(*[lambda: migrate(empty_url)] * 3)
    assert sorted(results) == [0, 0, len(OURS)]
    check_schema(empty_url)


def test_one_waits_for_the_lock_of_the_other(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        waiting = threading.Thread(target=migrate, args=(empty_url,))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert holder.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,)
    waiting.join(20)
    check_schema(empty_url)


@pytest.mark.parametrize("attempt", range(2))
def test_two_databases_of_a_new_server_can_be_migrated_at_once(
    tmp_path: Path, attempt: int
) -> None:
    """Roles belong to the server: each finds that the other makes them at the same moment."""
    with EmbeddedPostgres(tmp_path / "state") as server:
        names = [f"new_{number}" for number in range(4)]
        for name in names:
            execute(server.url, f"CREATE DATABASE {name}")
        urls = [make_conninfo(server.url, dbname=name) for name in names]
        results = run_together(*(lambda url=url: migrate(url) for url in urls))
        assert results == [len(OURS)] * len(urls)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda files: [*files[:1], files[1]._replace(text=files[1].text + "-- more")],
            f"migration {OURS[1].name} was changed",
        ),
        (
            lambda files: [*files[:1], files[1]._replace(name="0002_other.sql"), *files[2:]],
            f"has migration {OURS[1].name} where this build has 0002_other.sql",
        ),
        (lambda files: files[:-1], f"has migration {OURS[-1].name}, which this build"),
    ],
    ids=["changed", "renamed", "missing"],
)
def test_an_applied_file_that_differs_stops_everything_and_is_named(
    empty_url: str, change: Callable[[list[Migration]], list[Migration]], message: str
) -> None:
    migrate(empty_url)
    before = applied(empty_url)
    with pytest.raises(MigrationError, match=message):
        migrate(empty_url, migrations=change(list(OURS)))
    assert applied(empty_url) == before


def test_a_failing_migration_leaves_nothing_and_those_before_it_stay(empty_url: str) -> None:
    failing = next_migration("CREATE TABLE half (id int); SELECT 1 / 0", "fail")
    with pytest.raises(MigrationError, match=f"migration {failing.name} failed: division by zero"):
        migrate(empty_url, migrations=[*OURS, failing])
    assert fetch(empty_url, "SELECT to_regclass('half')") == [(None,)]
    assert len(applied(empty_url)) == len(OURS)
    mended = next_migration("CREATE TABLE half (id int)", "fail")
    assert migrate(empty_url, migrations=[*OURS, mended]) == 1


def test_check_schema_says_what_is_missing(empty_url: str) -> None:
    first = OURS[0].name
    with pytest.raises(MigrationError, match=rf"lacks {len(OURS)} .* first is {first}; run `hpts"):
        check_schema(empty_url)
    migrate(empty_url, migrations=OURS[:-1])
    with pytest.raises(MigrationError, match=f"lacks 1 migrations, the first is {OURS[-1].name}"):
        check_schema(empty_url)


def test_check_schema_names_what_it_does_not_know(empty_url: str) -> None:
    newer = next_migration("SELECT 1", "come_later")
    migrate(empty_url, migrations=[*OURS, newer])
    with pytest.raises(MigrationError, match=f"{newer.name}, which this build"):
        check_schema(empty_url)


def test_check_schema_needs_no_more_than_the_application_role(empty_url: str) -> None:
    migrate(empty_url)
    check_schema(make_conninfo(empty_url, options="-c role=hpts_app"))


def test_the_files_are_numbered_without_a_gap_and_hashed_as_they_are() -> None:
    assert [migration.version for migration in OURS] == list(range(1, len(OURS) + 1))
    assert len({migration.checksum for migration in OURS}) == len(OURS)
    assert OURS[0]._replace(text=OURS[0].text + " ").checksum != OURS[0].checksum


@pytest.fixture
def owner_login(postgres_url: str, database_url: str) -> Iterator[str]:
    """A login whose only privilege is to be a member of hpts_owner."""
    name = f"migrator_{uuid.uuid4().hex}"
    execute(postgres_url, f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEROLE")
    execute(postgres_url, f"GRANT hpts_owner TO {name}")
    yield name
    execute(postgres_url, f"DROP ROLE {name}")


def test_a_login_that_is_only_a_member_of_the_owner_can_migrate(
    empty_url: str, owner_login: str
) -> None:
    execute(empty_url, "GRANT CREATE, USAGE ON SCHEMA public TO hpts_owner")
    url = make_conninfo(empty_url, user=owner_login)
    assert migrate(url) == len(OURS)
    add_tenant(url, "a tenant")
    owners = fetch(
        empty_url,
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace",
    )
    assert owners == [("hpts_owner",)]


def test_a_login_that_may_do_nothing_is_told_so(empty_url: str, owner_login: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        migrate(make_conninfo(empty_url, user=owner_login))


def test_the_command_migrates_and_says_what_it_did(empty_url: str) -> None:
    command = [sys.executable, "-m", "hpts.cli", "migrate"]
    environment = {"HPTS_DATABASE_URL": empty_url, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert OURS[0].name in done.stdout + done.stderr
    check_schema(empty_url)
