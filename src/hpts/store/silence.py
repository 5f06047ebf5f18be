"""Tells a link that has fallen silent from a database that is slow: asks it by another connection.

A commit may take its time, for a disk or for a standby; giving it up would leave its session at
work and open one more. Only a session that is done, or waits for us, has been lost on the way.
"""

import contextlib
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from hpts.store.connecting import connect_async
from hpts.store.statements import sql

PROBE_SECONDS_MAX = 3


class Backend(NamedTuple):
    """The session behind a connection, and how the very server that has it is reached."""

    conninfo: str
    pid: int


def backend_of(database_url: str, pgconn: pq.abc.PGconn, pid: int) -> Backend:
    """`pid` is what the session itself says: a pooler on the way makes up its own."""
    address = {"hostaddr": pgconn.hostaddr.decode()} if pgconn.hostaddr else {}
    conninfo = make_conninfo(
        database_url,
        host=pgconn.host.decode(),
        port=pgconn.port.decode(),
        target_session_attrs="any",
        connect_timeout=PROBE_SECONDS_MAX,
        application_name="hpts probe",
        options=f"-c statement_timeout={PROBE_SECONDS_MAX}s",
        **address,
    )
    return Backend(conninfo, pid)


async def is_at_work(backend: Backend) -> bool | None:
    """Whether the session is at work on what it was sent; None where nobody can tell: a server that
    cannot be asked may be busy with it."""
    try:
        row = await _ask(backend, "read_backend_state")
    except psycopg.Error:
        return None
    return False if row is None else row[0]


async def end_session(backend: Backend) -> None:
    """End a session that is lost on the way, unless it is at work after all: it would keep its
    locks, for our end of the connection does not reach it. Where that cannot be done, PostgreSQL
    ends it by the timeouts of wire.SESSION."""
    with contextlib.suppress(psycopg.Error):
        await _ask(backend, "end_lost_session")


async def _ask(backend: Backend, statement: str) -> tuple[Any, ...] | None:
    async with await connect_async(backend.conninfo) as connection:
        cursor = await connection.execute(sql(statement).encode(), {"pid": backend.pid})
        return await cursor.fetchone()
