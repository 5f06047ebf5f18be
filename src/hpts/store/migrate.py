"""Migrations: plain SQL files, applied in order under one advisory lock, with checksums kept.

A file that was applied and has changed or gone stops everything: the schema is then not what the
code was tested with. Forward only.
"""

import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from hpts.store.connecting import connect
from hpts.store.statements import sql
from hpts.store.wire import CONNECT_SECONDS_MAX

MIGRATION_LOCK = 0x48505453_4D494752  # "HPTSMIGR"
FILE_NAME = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")


class MigrationError(Exception):
    """The schema and the migration files contradict each other; the message says how."""


class Migration(NamedTuple):
    """One migration file."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_migrations() -> list[Migration]:
    """The migrations that this build carries, in order, without a gap from 1."""
    found = []
    for file in _folder().iterdir():
        if match := FILE_NAME.fullmatch(file.name):
            found.append(Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")))
    found.sort()
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("migration files are not numbered from 0001 without a gap")
    return found


def _folder() -> Traversable:
    """Migrations travel in the wheel beside the code; in a checkout they stand at its top."""
    packaged = files("hpts").joinpath("migrations")
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "migrations"


def migrate(
    database_url: str,
    *,
    migrations: list[Migration] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> int:
    """Apply what is missing; how many were applied. Raises MigrationError, psycopg.Error.

    Connects as a role that may become hpts_owner; where the roles are missing it must be allowed
    to create them. Each migration is one transaction together with the note that it was applied.
    """
    wanted = load_migrations() if migrations is None else migrations
    with connect(
        database_url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS_MAX,
        application_name="hpts migrate",
    ) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        connection.execute(sql("create_roles").encode())
        connection.execute("SET ROLE hpts_owner")
        connection.execute(sql("create_schema_migrations").encode())
        missing = check_applied(connection, wanted)
        for migration in missing:
            _apply(connection, migration)
            report(f"applied {migration.name}")
    return len(missing)


def check_schema(database_url: str) -> None:
    """Raises MigrationError unless the database has exactly this build's migrations,
    psycopg.Error."""
    with connect(
        database_url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS_MAX,
        application_name="hpts",
    ) as connection:
        found = connection.execute("SELECT to_regclass('public.schema_migrations')").fetchone()
        missing = load_migrations()
        if found and found[0]:
            missing = check_applied(connection, missing)
    if missing:
        raise MigrationError(
            f"the database lacks {len(missing)} migrations, the first is {missing[0].name}; "
            "run `hpts migrate`"
        )


def check_applied(connection: psycopg.Connection[Any], wanted: list[Migration]) -> list[Migration]:
    """The migrations still to apply. Raises MigrationError when an applied file changed or is
    gone."""
    applied = connection.execute(sql("read_migrations").encode()).fetchall()
    for at, (version, name, checksum) in enumerate(applied):
        if at >= len(wanted):
            raise MigrationError(
                f"the database has migration {name}, which this build of HPTS does not know; "
                "run a build at least as new as the one that migrated it"
            )
        if wanted[at].version != version or wanted[at].name != name:
            raise MigrationError(
                f"the database has migration {name} where this build has {wanted[at].name}; "
                "applied files are never renamed or removed"
            )
        if wanted[at].checksum != checksum:
            raise MigrationError(
                f"migration {name} was changed after it was applied; "
                "restore the file and put the change into a new migration"
            )
    return wanted[len(applied) :]


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(migration.text.encode())
            connection.execute(
                sql("record_migration").encode(),
                {
                    "version": migration.version,
                    "name": migration.name,
                    "checksum": migration.checksum,
                },
            )
    except psycopg.Error as error:
        raise MigrationError(f"migration {migration.name} failed: {error}") from error
