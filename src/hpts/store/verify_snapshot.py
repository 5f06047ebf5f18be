"""What the parts of a verification share: the rows of one snapshot, the first finding a check.

Rows come in portions, so that memory does not grow with the ledger; those of statements that are
read beside each other over connections of their own, so that PostgreSQL works on the next ones
meanwhile; and in binary format: identifiers and text as bytes, days and instants as the numbers
that the hashes cover.
"""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg.errors import error_from_result
from psycopg.types.numeric import Int4BinaryLoader, Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader

from hpts.store.connecting import connect
from hpts.store.statements import sql
from hpts.store.tenancy import TenantUnknown
from hpts.store.wire import CONNECT_SECONDS_MAX

ROWS_PER_FETCH = 1_000
"""Bounds the memory: an entry carries at most a few kilobytes of details and reply."""
COPY_HEADER_BYTES = 19
COPY_END = b"\xff\xff"
"""What comes before the first row and after the last. A row is longer: it has columns."""
BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL ROLE hpts_app;
SET LOCAL jit = off;
SET LOCAL enable_nestloop = off;
SET LOCAL max_parallel_workers_per_gather = 0
"""
"""The statements read everything. A planner that has not yet seen the tables grow would probe an
index for every line instead of joining: minutes for seconds. The walk over the entries takes
longest, and workers beside it would only take cores from it."""

Row = tuple[Any, ...]


class Finding(NamedTuple):
    """One broken promise: which check, the first row that breaks it (table and key), and how."""

    check: str
    row: str
    message: str


class Findings:
    """The first finding of each check; one cause often breaks thousands of rows."""

    def __init__(self) -> None:
        self._first: dict[str, Finding] = {}

    def note(self, check: str, row: str, message: str) -> None:
        self._first.setdefault(check, Finding(check, row, message))

    def all(self) -> list[Finding]:
        return list(self._first.values())


class Snapshot:
    """The rows of one tenant, all as of one moment.

    Blocks are walked from `from_block`, entries and what belongs to them from `from_entry`.
    """

    def __init__(
        self, database_url: str, tenant_id: uuid.UUID, name: str, connections: ExitStack
    ) -> None:
        """`name` is that of an exported snapshot, which must stay open until `connections`, which
        closes them all, has ended."""
        self.tenant_id = tenant_id
        self.from_block = 1
        self.from_entry = uuid.UUID(int=0)
        self._database_url = database_url
        self._name = name
        self._connections = connections
        self._idle: list[psycopg.Connection[Any]] = []
        """Those whose statement has been read to its end."""

    def begin_at(self, block_number: int, from_block: int) -> None:
        """Walk entries from the first of block `block_number` or a later one, blocks from
        `from_block`."""
        self.from_block = block_number
        for (entry_id,) in self.stream("find_first_entry"):
            self.from_entry = uuid.UUID(bytes=entry_id)
        self.from_block = from_block

    def stream(self, statement: str) -> Iterator[Row]:
        """The rows of a statement, never more than ROWS_PER_FETCH of them at a time."""
        portion = ROWS_PER_FETCH if psycopg.capabilities.has_stream_chunked() else 1
        connection = self._idle.pop() if self._idle else self._connect()
        with connection.cursor() as cursor:
            text = sql(statement).encode()
            yield from cursor.stream(text, self._parameters(), binary=True, size=portion)
        self._idle.append(connection)

    def copy(self, statement: str) -> Iterator[memoryview]:
        """The rows of a statement as COPY sends them in binary format, one at a time: the number of
        columns, then each with its length. No column becomes an object of Python's."""
        connection = self._idle.pop() if self._idle else self._connect()
        text = f"COPY ({sql(statement)}) TO STDOUT (FORMAT binary)".encode()
        with connection.cursor() as cursor, cursor.copy(text, self._parameters()) as copy:
            row = memoryview(copy.read())[COPY_HEADER_BYTES:]
            take = connection.pgconn.get_copy_data
            while len(row) > len(COPY_END):
                yield row
                size, row = take(1)
                if size == 0:  # nothing has come yet
                    row = memoryview(copy.read())
                elif size < 0 and (result := connection.pgconn.get_result()):
                    raise error_from_result(result)
            copy.read()
        self._idle.append(connection)

    def _parameters(self) -> dict[str, Any]:
        return {
            "tenant_id": self.tenant_id,
            "from_block": self.from_block,
            "from_entry": self.from_entry,
        }

    def _connect(self) -> psycopg.Connection[Any]:
        connection = self._connections.enter_context(_begin(self._database_url))
        connection.execute(f"SET TRANSACTION SNAPSHOT '{self._name}'".encode())
        _enter(connection, self.tenant_id)
        return connection


@contextmanager
def open_snapshot(
    database_url: str, tenant_id: uuid.UUID, *, is_nobodys: bool = False
) -> Iterator[Snapshot]:
    """The tenant as it is now, suspended or not. Raises TenantUnknown, psycopg.Error. With
    `is_nobodys` the rows of an id that no tenant has."""
    with ExitStack() as connections:
        connection = connections.enter_context(_begin(database_url))
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        if row is None or not (_enter(connection, tenant_id) or is_nobodys):
            raise TenantUnknown
        yield Snapshot(database_url, tenant_id, row[0], connections)


@contextmanager
def _begin(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in a transaction that reads, and sees one moment. Nothing is left to commit: it
    is closed, also where a statement was not read to its end."""
    connection = connect(
        database_url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS_MAX,
        application_name="hpts verify",
        client_encoding="utf8",
    )
    with closing(connection):
        _load_as_bytes(connection)
        connection.execute(BEGIN.encode())
        yield connection


def _enter(connection: psycopg.Connection[Any], tenant_id: uuid.UUID) -> bool:
    """Make the tenant's rows visible; whether there is such a tenant."""
    cursor = psycopg.RawCursor(connection)
    cursor.execute(sql("enter_tenant").encode(), [str(tenant_id)])
    return cursor.execute(sql("read_tenant").encode(), [tenant_id]).fetchone() is not None


def name_of(identifier: bytes) -> str:
    """An identifier as PostgreSQL prints it."""
    return str(uuid.UUID(bytes=identifier))


def _load_as_bytes(connection: psycopg.Connection[Any]) -> None:
    adapters = connection.adapters
    for type_name in ("uuid", "text", '"char"', "json"):
        adapters.register_loader(type_name, ByteaBinaryLoader)
    adapters.register_loader("date", Int4BinaryLoader)
    adapters.register_loader("timestamptz", Int8BinaryLoader)
