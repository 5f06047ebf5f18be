"""Runs a PostgreSQL of our own as a direct child, on a Unix socket only, for `hpts dev`.

It knows nothing of schemas or tenants. Whether a database lives is decided by the lock on the
state directory, which every PostgreSQL process inherits, and by connecting; never by a pid, for
pids are used again. A data directory appears under its name only when it is complete.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final, Self

from psycopg import pq

from hpts.postgres_account import (
    PLAIN,
    ROOT_WAYS,
    Account,
    admit,
    choose_account,
    confined,
    hand_over,
)
from hpts.postgres_binaries import EmbeddedError, find_binaries
from hpts.state_lock import StateLock

__all__ = ["EmbeddedError", "EmbeddedPostgres", "find_binaries", "running_url"]

READY_SECONDS_MAX = 60.0
"""Includes recovery after a crash, which replays at most about `max_wal_size`."""
INITDB_SECONDS_MAX = 120.0
FAST_STOP_SECONDS_MAX = 30.0
IMMEDIATE_STOP_SECONDS_MAX = 10.0
POLL_SECONDS = 0.01
LOG_BYTES_MAX = 10 * 1024 * 1024
LOG_TAIL_BYTES_MAX = 8 * 1024
LOG_TAIL_LINES_MAX = 15

PORT = 5432
"""Only a part of the socket's name; said in the URL so that PGPORT cannot change it."""

SHARED_BUFFERS_MB_MIN = 128
SHARED_BUFFERS_MB_MAX = 1024


def _shared_buffers_mb() -> int:
    """An eighth of the machine's memory, within bounds: the rest is others', and the system's cache
    holds what does not fit."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return min(max(memory_mb // 8, SHARED_BUFFERS_MB_MIN), SHARED_BUFFERS_MB_MAX)


DEFAULT_SETTINGS: Final[Mapping[str, str]] = {
    "shared_buffers": f"{_shared_buffers_mb()}MB",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    # A new 16 MB segment of the log filled with zeros holds up every commit for 50 ms, once a
    # second under load until enough are there to recycle.
    "wal_init_zero": "off",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
FIXED_SETTINGS = frozenset(
    ("listen_addresses", "port", "unix_socket_directories", "data_directory", "logging_collector")
)
"""Settings that this module answers for itself; it refuses them from its caller."""

ENVIRONMENT_DROPPED = ("PG", "LC_", "LANG", "HPTS_")
"""Prefixes: PostgreSQL reads PGPORT and its like; its messages shall be in English; and our own
settings, with their secrets, are not its business."""


class EmbeddedPostgres:
    """One PostgreSQL server on `state_dir`/postgres; also a context manager.

    Start it from the main thread: PostgreSQL is told to shut down when the thread that started
    it ends (PR_SET_PDEATHSIG), which for the main thread means the process, even by kill -9.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        pg_bin: Path | None = None,
        settings: Mapping[str, str] = {},
        _root_ways: tuple[str, ...] = ROOT_WAYS,
    ) -> None:
        """`settings` override DEFAULT_SETTINGS, by PostgreSQL's names; `_root_ways` is for tests.

        Raises ValueError for one of FIXED_SETTINGS.
        """
        refused = FIXED_SETTINGS.intersection(settings)
        if refused:
            raise ValueError(f"fixed for the embedded database: {', '.join(sorted(refused))}")
        self._state_dir = state_dir.resolve()
        self._data_dir = self._state_dir / "postgres"
        self._socket_dir = _socket_dir(self._state_dir)
        self._pg_bin = pg_bin
        self._settings = {**DEFAULT_SETTINGS, **settings}
        self._root_ways = _root_ways
        self._account = PLAIN
        self._log = _Log(self._state_dir / "postgres.log")
        self._lock: StateLock | None = None
        self._socket_claimed = False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Of database `postgres` as superuser `postgres`, whether or not it runs now."""
        return _url(self._socket_dir)

    @property
    def pid(self) -> int:
        """The postmaster's process id as this process sees it. Raises when not started."""
        if self._process is None:
            raise EmbeddedError("the embedded database is not started; call start() first")
        return self._process.pid

    def start(self) -> str:
        """Start, creating the data directory first if absent, and wait until it answers.

        Returns `url`. Raises EmbeddedError. Started again after its server died, it clears the
        remains away and starts another.
        """
        if threading.current_thread() is not threading.main_thread():
            raise EmbeddedError(
                "start the embedded database from the main thread: it ends with the thread"
                " that started it"
            )
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = StateLock.acquire(self._state_dir)
        except OSError as error:
            raise EmbeddedError(f"cannot use the state directory: {error}") from error
        self._lock = lock
        try:
            self._start_locked(lock)
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"cannot start the embedded database: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Fast shutdown; returns when PostgreSQL has ended. Does nothing when not running."""
        if self._process is not None:
            _shut_down(self._process)
            self._process = None
        if self._socket_claimed:
            _remove_socket(self._socket_dir)
            with contextlib.suppress(OSError):
                self._socket_dir.rmdir()
            self._socket_claimed = False
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _start_locked(self, lock: StateLock) -> None:
        binaries = find_binaries(self._pg_bin, self._data_dir)
        self._account = choose_account(self._data_dir, binaries / "postgres", self._root_ways)
        _claim_socket_dir(self._socket_dir, self._account)
        self._socket_claimed = True
        with self._log.open_for_start() as log:
            if not (self._data_dir / "PG_VERSION").exists():
                self._initialise(binaries / "initdb", lock, log)
            hand_over(self._data_dir, self._account)
            # We hold the lock, so no PostgreSQL of this directory is left, whatever runs by now
            # under the pid in this file.
            (self._data_dir / "postmaster.pid").unlink(missing_ok=True)
            self._process = self._spawn(self._server_command(binaries), lock, log)
        self._await_ready(self._process)

    def _initialise(self, initdb: Path, lock: StateLock, log: BinaryIO) -> None:
        """Into a sibling, then rename: an interrupted one is never taken for a database."""
        if self._data_dir.exists() and any(self._data_dir.iterdir()):
            raise EmbeddedError(f"{self._data_dir} is no database; move what is in it elsewhere")
        unfinished = self._state_dir / "postgres.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        hand_over(unfinished, self._account)
        command = (
            str(initdb),
            f"--pgdata={unfinished}",
            "--username=postgres",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
        )
        code = _wait_or_kill(self._spawn(command, lock, log), INITDB_SECONDS_MAX)
        if code != 0:
            raise EmbeddedError(self._log.explain(f"initdb failed ({code})"))
        unfinished.rename(self._data_dir)
        _sync_folder(self._state_dir)

    def _server_command(self, binaries: Path) -> tuple[str, ...]:
        fixed = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self._socket_dir),
            "logging_collector": "off",
        }
        options = [f"--{name}={value}" for name, value in {**self._settings, **fixed}.items()]
        return (str(binaries / "postgres"), "-D", str(self._data_dir), *options)

    def _spawn(
        self, command: tuple[str, ...], lock: StateLock, log: BinaryIO
    ) -> subprocess.Popen[bytes]:
        """In a session of its own, so that Ctrl-C reaches us alone and we stop it in order."""
        return subprocess.Popen(
            confined(self._account, command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            pass_fds=(lock.descriptor,),
            start_new_session=True,
        )

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            code = process.poll()
            if code is not None:
                raise EmbeddedError(self._log.explain(f"PostgreSQL ended at its start ({code})"))
            if _says_ready(self._data_dir) and _answers(self.url):
                return
            time.sleep(POLL_SECONDS)
        raise EmbeddedError(self._log.explain(f"PostgreSQL took over {READY_SECONDS_MAX:.0f} s"))


def running_url(state_dir: Path) -> str | None:
    """URL of that state directory's embedded database if it answers now, else None."""
    folder = _socket_dir(state_dir.resolve())
    url = _url(folder)
    return url if _is_ours(folder) and _answers(url) else None


class _Log:
    """The server's log; it is cut at a start when too long, and quoted in errors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def open_for_start(self) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = os.fdopen(os.open(self._path, flags, 0o600), "ab")
        if file.seek(0, os.SEEK_END) > LOG_BYTES_MAX:
            file.truncate(0)
        self._start = file.seek(0, os.SEEK_END)
        return file

    def explain(self, what: str) -> str:
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._start, size - LOG_TAIL_BYTES_MAX))
            lines = file.read().decode(errors="replace").splitlines()
        tail = [f"  {line}" for line in lines[-LOG_TAIL_LINES_MAX:]]
        return "\n".join([f"{what}; the end of {self._path}:", *tail])


def _socket_dir(state_dir: Path) -> Path:
    """Short, because a socket's path has at most 107 bytes, and found again after kill -9."""
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
    return Path(f"/tmp/hpts-{os.geteuid()}-{digest}")  # noqa: S108  (_claim_socket_dir checks it)


def _url(socket_dir: Path) -> str:
    return f"postgresql://postgres@/postgres?host={socket_dir}&port={PORT}"


def _answers(url: str) -> bool:
    return pq.PGconn.ping(url.encode()) == pq.Ping.OK


def _is_ours(folder: Path) -> bool:
    """False as well for a link, which would lead wherever its maker likes."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _claim_socket_dir(folder: Path, account: Account) -> None:
    """It lies in /tmp, where anybody could have made it before us."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_ours(folder):
        raise EmbeddedError(f"{folder} belongs to somebody else; have its owner remove it")
    if _answers(_url(folder)):
        raise EmbeddedError(
            f"a database answers in {folder} although nothing holds its state directory, which"
            " was removed while it ran; end that PostgreSQL first"
        )
    folder.chmod(0o700)
    admit(folder, account, to_write=True)
    _remove_socket(folder)


def _remove_socket(folder: Path) -> None:
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (folder / name).unlink(missing_ok=True)


def _says_ready(data_dir: Path) -> bool:
    """Asked before connecting, as each connection during recovery is a FATAL line in the log."""
    try:
        lines = (data_dir / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() in ("ready", "standby")


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT_DROPPED)}
    return {**kept, "LC_ALL": "C"}


def _wait_or_kill(process: subprocess.Popen[bytes], seconds_max: float) -> int:
    try:
        return process.wait(seconds_max)
    except subprocess.TimeoutExpired as error:
        raise EmbeddedError(f"initdb took over {seconds_max:.0f} s; is the disk well?") from error
    finally:
        process.kill()
        process.wait()


def _shut_down(process: subprocess.Popen[bytes]) -> None:
    for number, seconds in (
        (signal.SIGINT, FAST_STOP_SECONDS_MAX),
        (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS_MAX),
    ):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
    process.kill()
    process.wait()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
