"""A thin asyncio driver for the hot path: one PostgreSQL connection that lives in pipeline mode.

It sends prepared statements with ready-made parameters, all of them before it reads one result, and
knows neither tenants nor money. It never repeats anything: after ConnectionLost the outcome is
unknown.
"""

import asyncio
import os
import select
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from hpts.store.connecting import connect_async
from hpts.store.silence import Backend, backend_of, end_session, is_at_work
from hpts.store.statements import sql

OID_BYTEA = 17
RUN_SECONDS_MAX = 40.0
"""How long a pipeline may take, a little longer than PostgreSQL's statement_timeout below."""
SILENT_SECONDS_MAX = 5.0
"""After which a pipeline without an answer is asked after, by another connection, now and then."""
GRACE_SECONDS = 1.0
"""For an answer that was on its way when the database said that it was done."""
LINK: dict[str, Any] = {
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 2,
    "keepalives_interval": 2,
    "keepalives_count": 4,
}
"""A peer that acknowledges nothing for 10 s is given up, also where we only wait for its answer."""
LINK_AT_THE_SERVER = (
    f"SELECT set_config('tcp_user_timeout', '{LINK['tcp_user_timeout']}', false),"
    f" set_config('tcp_keepalives_idle', '{LINK['keepalives_idle']}', false),"
    f" set_config('tcp_keepalives_interval', '{LINK['keepalives_interval']}', false),"
    f" set_config('tcp_keepalives_count', '{LINK['keepalives_count']}', false)"
)
"""The same at PostgreSQL's end, where a session that nobody can reach keeps its locks."""
CONNECT_SECONDS_MAX = 3
"""For each host of the connection string, in their order."""
SET_UP_SECONDS_MAX = 5
SESSION = (
    "SET ROLE hpts_app",
    "SET statement_timeout = '30s'",
    # Payments wait only for whoever opens the same loan or commits a block of the same tenant.
    "SET lock_timeout = '2s'",
    # As long as a posting may wait: who falls silent in a transaction keeps its locks no longer.
    "SET idle_in_transaction_session_timeout = '5s'",
    LINK_AT_THE_SERVER,
    "SET jit = off",
    # What a database or a login may have set otherwise; replies and locking rely on these.
    "SET search_path = public",
    "SET datestyle = 'ISO'",
    "SET client_encoding = 'UTF8'",
    "SET default_transaction_isolation = 'read committed'",
    # A plan made while a table is small would be kept while it grows; here a nested loop over
    # probes of an index is always right.
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET enable_material = off",
    "SET plan_cache_mode = force_generic_plan",
    # A 2xx means durable, whatever the server's default: 'off' waits for no disk, 'local' for no
    # standby, 'remote_write' for no standby's disk.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')",
)
SNAPSHOT_SESSION = (*SESSION, "SET default_transaction_isolation = 'repeatable read'")
"""For readers whose pipelines are to see one moment."""
NOT_REPLICATED = "01000"
"""PostgreSQL says so when it has committed and was told to wait no longer for its standby, which
pg_cancel_backend does (no timeout of a statement counts then)."""


PASSING_CLASSES = frozenset(("08", "40", "53", "55", "57", "58"))
"""Connection, rollback, resources (a full disk), prerequisites, operators, the system (I/O)."""
PASSING_STATES = frozenset(("25006", "25P03", "25P04", "XX000"))
"""A server that is read-only, a transaction that was idle or open for too long, and what PostgreSQL
has no code for: a file that may not grow (EFBIG, EDQUOT) among them. XX001 and XX002 are not
here: whoever tries again meets the same corruption."""


DENIED, IO_ERROR = "42501", "58030"
"""A read-only file system has the code of a missing privilege, and is told as what it is: I/O."""
ACCESSES_FILES = frozenset(("md.c", "fd.c", "slru.c", "xlog.c", "buffile.c"))
"""Of PostgreSQL's source, what reads and writes files and checks no privilege of a role."""


def sqlstate_of(error: psycopg.Error) -> str | None:
    """The code of an error, None where the connection failed."""
    return _told_apart(error.sqlstate, error.diag.source_file)


def _told_apart(code: str | None, source_file: str | None) -> str | None:
    return IO_ERROR if code == DENIED and source_file in ACCESSES_FILES else code


def is_passing(sqlstate: str | None) -> bool:
    """Whether the database and not the statement is the cause, so that the same request may succeed
    later; so is what has no sqlstate, a connection that failed."""
    return sqlstate is None or sqlstate[:2] in PASSING_CLASSES or sqlstate in PASSING_STATES


class ConnectionLost(Exception):
    """The connection failed; whether a COMMIT under way took effect is unknown."""


class ConnectFailed(ConnectionLost):
    """No connection could be opened, so nothing was sent."""


class StatementFailed(Exception):
    """PostgreSQL refused a statement. `sqlstate` says why; the message is for the log only."""

    def __init__(self, statement: str, sqlstate: str, message: str) -> None:
        super().__init__(f"{statement}: {sqlstate}: {message}")
        self.sqlstate = sqlstate

    @property
    def is_passing(self) -> bool:
        """Whether the database, not the statement, is the cause (see is_passing)."""
        return is_passing(self.sqlstate)


class Step(NamedTuple):
    """A prepared statement and its parameters, in binary format unless `text` is set."""

    statement: str
    parameters: Sequence[bytes | None] = ()
    text: bool = False


Rows = list[tuple[bytes | None, ...]]


class Wire:
    """One connection. One `run` at a time; the owner sees to that."""

    def __init__(
        self, connection: psycopg.AsyncConnection, loop: asyncio.AbstractEventLoop, backend: Backend
    ):
        self._backend = backend
        self._asking: asyncio.Task[None] | None = None
        self._pgconn = connection.pgconn
        self._connection = connection  # keeps the pgconn open
        self._loop = loop
        # A descriptor of our own: libpq closes its own as soon as the connection fails, and what is
        # closed can no longer be unregistered, or belongs to somebody else by then.
        self._socket = os.dup(self._pgconn.socket)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._transformer = Transformer()
        self._results: list[pq.abc.PGresult] = []
        self._done: asyncio.Future[None] | None = None
        self._warning = ""
        self._pgconn.notice_handler = self._on_notice
        self.is_broken = False
        self.stripe = 0
        loop.add_reader(self._socket, self._on_readable)

    @classmethod
    async def connect(
        cls,
        database_url: str,
        statements: Sequence[str],
        stripe_lock: int | None = None,
        session: Sequence[str] = SESSION,
    ) -> "Wire":
        """An open connection with `statements` prepared. Raises ConnectionLost.

        With `stripe_lock` it also owns a stripe of account totals for as long as it lives: the
        first number that no other connection holds under that advisory lock class.
        """
        try:
            connection = await connect_async(
                database_url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS_MAX,
                application_name="hpts",
                **LINK,
            )
        except psycopg.Error as error:
            raise ConnectFailed(str(error)) from error
        try:
            async with asyncio.timeout(SET_UP_SECONDS_MAX):
                stripe, pid = await _set_up(connection, session, stripe_lock)
            backend = backend_of(database_url, connection.pgconn, pid)
            wire = cls(connection, asyncio.get_running_loop(), backend)
        except (psycopg.Error, TimeoutError) as error:
            await connection.close()
            raise ConnectFailed(str(error) or "no answer") from error
        wire.stripe = stripe
        try:
            await wire._prepare(statements)
        except StatementFailed as failure:
            if failure.is_passing:
                raise ConnectFailed(str(failure)) from failure
            raise
        return wire

    async def run(self, steps: Sequence[Step]) -> list[Rows]:
        """Send all `steps` in one pipeline; the rows of each. One round trip.

        Raises StatementFailed for the first step that failed (none after it ran), ConnectionLost:
        also where PostgreSQL warns that it committed what no standby is known to have.
        """
        self._send(self._send_all, steps)
        results = await self._sync()
        if self._warning:
            self.close()
            raise ConnectionLost(f"committed here, and perhaps nowhere else: {self._warning}")
        if len(results) == len(steps):
            for result in results:
                if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                    break
            else:
                return [self._rows(result) for result in results]
        _raise_first(results, [step.statement for step in steps])

    def close(self) -> None:
        """Drop the connection at once; PostgreSQL rolls back what was open."""
        if not self.is_broken:
            self._fail(ConnectionLost("closed"))

    async def _prepare(self, statements: Sequence[str]) -> None:
        for name in statements:
            self._send(self._pgconn.send_prepare, name.encode(), sql(name).encode())
        results = await self._sync()
        if any(result.status != pq.ExecStatus.COMMAND_OK for result in results):
            self.close()
            _raise_first(results, list(statements))

    def _send_all(self, steps: Sequence[Step]) -> None:
        send = self._pgconn.send_query_prepared
        for statement, parameters, text in steps:
            format_code = 0 if text else 1
            formats = [format_code] * len(parameters)
            send(statement.encode(), parameters, formats, format_code)

    def _send(self, send, *arguments) -> None:  # type: ignore[no-untyped-def]
        if self.is_broken:
            raise ConnectionLost("the connection is closed")
        try:
            send(*arguments)
        except psycopg.Error as error:
            self._fail(ConnectionLost(str(error)))
            raise ConnectionLost(str(error)) from error

    async def _sync(self) -> list[pq.abc.PGresult]:
        """End the pipeline and collect its results."""
        self._send(self._pgconn.pipeline_sync)
        self._results = []
        self._warning = ""
        self._done = self._loop.create_future()
        timer = self._loop.call_later(SILENT_SECONDS_MAX, self._doubt)
        try:
            self._flush()
            await self._done
        except BaseException:
            self.close()  # what is still under way can no longer be told from the next pipeline
            raise
        finally:
            timer.cancel()
            self._done = None
            if self._asking is not None:
                self._asking.cancel()
                self._asking = None
        return self._results

    def _doubt(self) -> None:
        self._asking = self._loop.create_task(self._ask_after())

    async def _ask_after(self) -> None:
        """Fail when the database is known not to be at work on the pipeline, or at the latest when
        its time is up; cancelled by the answer."""
        try:
            async with asyncio.timeout(RUN_SECONDS_MAX - SILENT_SECONDS_MAX):
                while True:
                    if await is_at_work(self._backend) is False:
                        break
                    await asyncio.sleep(SILENT_SECONDS_MAX)
                await asyncio.sleep(GRACE_SECONDS)
                await end_session(self._backend)
        except Exception as error:  # whatever it is, nothing else would ever end the pipeline
            self._fail(ConnectionLost(f"no answer {error}".rstrip()))
        else:
            self._fail(ConnectionLost("the link has fallen silent"))

    def _flush(self) -> None:
        try:
            if self._pgconn.flush():
                self._loop.add_writer(self._socket, self._flush)
            else:
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._fail(ConnectionLost(str(error)))

    def _on_readable(self) -> None:
        try:
            self._pgconn.consume_input()
            while self._done is not None and not self._done.done() and not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    continue  # between the results of two statements
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    self._done.set_result(None)
                    break
                self._results.append(result)
                if self._pgconn.status == pq.ConnStatus.BAD:
                    raise psycopg.OperationalError(result.get_error_message())
            if self._has_hung_up():
                raise psycopg.OperationalError("the server closed the connection")
        except psycopg.Error as error:
            self._fail(ConnectionLost(str(error)))

    def _on_notice(self, notice: pq.abc.PGresult) -> None:
        if notice.error_field(pq.DiagnosticField.SQLSTATE) == NOT_REPLICATED.encode():
            self._warning = notice.get_error_message()

    def _has_hung_up(self) -> bool:
        """Whether the server has gone. Its last words and a reset come as one event, after which
        uvloop watches the socket no more; so nothing else would ever tell."""
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in self._poll.poll(0))

    def _rows(self, result: pq.abc.PGresult) -> Rows:
        """The cells as PostgreSQL sent them: loaded as bytea, whatever their type."""
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result, set_loaders=False)
        self._transformer.set_loader_types([OID_BYTEA] * result.nfields, pq.Format.BINARY)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _fail(self, error: ConnectionLost) -> None:
        if self.is_broken:
            return
        self.is_broken = True
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        os.close(self._socket)
        self._pgconn.finish()


async def _set_up(
    connection: psycopg.AsyncConnection, session: Sequence[str], stripe_lock: int | None
) -> tuple[int, int]:
    """The session's stripe and process id."""
    stripe = 0
    for statement in session:
        await connection.execute(statement.encode())
    (pid,) = await (await connection.execute("SELECT pg_backend_pid()")).fetchone() or (0,)
    if stripe_lock is not None:
        cursor = await connection.execute(sql("claim_stripe"), {"lock_class": stripe_lock})
        row = await cursor.fetchone()
        if row is None:
            raise psycopg.OperationalError("every stripe of account totals is in use")
        stripe = row[0]
    connection.pgconn.nonblocking = 1
    connection.pgconn.enter_pipeline_mode()
    return stripe, pid


def _raise_first(results: Sequence[pq.abc.PGresult], statements: Sequence[str]) -> NoReturn:
    for result, statement in zip(results, statements, strict=False):
        if result.status == pq.ExecStatus.FATAL_ERROR:
            code = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
            source_file = result.error_field(pq.DiagnosticField.SOURCE_FILE) or b""
            sqlstate = _told_apart(code.decode(), source_file.decode()) or ""
            raise StatementFailed(statement, sqlstate, result.get_error_message())
    raise ConnectionLost(f"{len(results)} results of {len(statements)} statements")
