"""A streaming standby of an embedded PostgreSQL, made of a base backup that is taken while it runs.

The backup is taken with PostgreSQL's own functions and a copy of the files, as `pg_basebackup` does
it, which not every set of programs has.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hpts.embedded import EmbeddedPostgres

NAME = "standby"
"""Of the slot that keeps the log for the standby, and of its connection."""
SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": "60",
    "superuser_reserved_connections": "10",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "hot_standby": "on",
    # The primary notices at once when its standby has gone, and the standby looks for it again.
    "wal_retrieve_retry_interval": "100ms",
}
NOT_COPIED = frozenset(("postmaster.pid", "postmaster.opts", "postgresql.auto.conf"))
EMPTIED = frozenset(
    ("pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots")
    + ("pg_stat_tmp", "pg_subtrans")
)
"""Folders that the standby fills itself."""
IN_STEP_SECONDS_MAX = 30


def start_standby(
    primary_url: str, primary_dir: Path, folder: Path, settings: Mapping[str, str] = SETTINGS
) -> EmbeddedPostgres:
    """A hot standby in `folder` that streams from the primary; the primary commits without it until
    `require_standby`."""
    data_dir = folder / "postgres"
    with psycopg.connect(primary_url, autocommit=True) as connection:
        _make_slot(connection)
        connection.execute("SELECT pg_backup_start('standby', true)")
        _copy(primary_dir / "postgres", data_dir)
        row = connection.execute("SELECT labelfile FROM pg_backup_stop(false)").fetchone()
    assert row is not None
    _write(data_dir / "backup_label", row[0], primary_dir / "postgres")
    _write(data_dir / "standby.signal", "", primary_dir / "postgres")
    _write(data_dir / "postgresql.auto.conf", "", primary_dir / "postgres")
    parts = conninfo_to_dict(primary_url)
    source = make_conninfo(
        host=parts["host"], port=parts["port"], user=parts["user"], application_name=NAME
    )
    standby = EmbeddedPostgres(
        folder, settings={**settings, "primary_conninfo": source, "primary_slot_name": NAME}
    )
    standby.start()
    return standby


def require_standby(primary_url: str) -> None:
    """From here on no COMMIT is answered before the standby has it on its disk."""
    with psycopg.connect(primary_url, autocommit=True) as connection:
        set_server(connection, "synchronous_standby_names", NAME)
    await_in_step(primary_url)


def await_in_step(primary_url: str) -> None:
    """Until the standby confirms commits, and has all that was committed before."""
    with psycopg.connect(primary_url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
        deadline = time.monotonic() + IN_STEP_SECONDS_MAX
        while not connection.execute(
            "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= %s", row
        ).fetchone():
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.02)


def set_server(connection: psycopg.Connection[Any], name: str, value: str) -> None:
    """A setting of the whole server, now and after a restart."""
    connection.execute(
        sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
    )
    connection.execute("SELECT pg_reload_conf()")


def promote(standby_url: str) -> None:
    """Make a primary of it; returns when it is one."""
    with psycopg.connect(standby_url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_promote(true, 30)").fetchone()
        assert row == (True,)


@contextlib.contextmanager
def pair(folder: Path) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary and its standby, not required yet."""
    primary = EmbeddedPostgres(folder / "one", settings=SETTINGS)
    with primary:
        standby = start_standby(primary.url, folder / "one", folder / "two")
        with contextlib.closing(_Stopping(standby)):
            yield primary, standby


class _Stopping:
    def __init__(self, server: EmbeddedPostgres) -> None:
        self.close = server.stop


def _make_slot(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", [NAME]
    ).fetchone()
    if not found:
        connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [NAME])


def _copy(source: Path, target: Path) -> None:
    """The files as they are found: what changes meanwhile is written again from the log."""
    target.mkdir(parents=True)
    _own(target, source)
    for path in source.iterdir():
        copied = target / path.name
        if path.name in NOT_COPIED:
            continue
        if path.is_dir():
            _copy_folder(path, copied, is_emptied=path.name in EMPTIED)
        else:
            _copy_file(path, copied)


def _copy_folder(source: Path, target: Path, *, is_emptied: bool) -> None:
    target.mkdir()
    _own(target, source)
    for path in source.iterdir():
        if path.is_dir():
            if not is_emptied or path.name == "archive_status":
                _copy_folder(path, target / path.name, is_emptied=is_emptied)
        elif not is_emptied:
            _copy_file(path, target / path.name)


def _copy_file(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # removed meanwhile: the log knows
        shutil.copyfile(source, target)
        _own(target, source)


def _write(path: Path, text: str, like: Path) -> None:
    path.write_text(text)
    _own(path, like / "PG_VERSION")


def _own(path: Path, like: Path) -> None:
    found = like.stat()
    path.chmod(found.st_mode & 0o7777)
    os.chown(path, found.st_uid, found.st_gid)
