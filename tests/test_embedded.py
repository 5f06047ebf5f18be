"""Rules of the embedded database, shown on real PostgreSQL servers in directories of their own.

Owners that must be killed run in processes of their own (OWNER). Most tests take turns on one
initialised state directory, since initdb is the slowest step; those that change it take a copy.
"""

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from hpts import embedded, state_lock
from hpts.embedded import EmbeddedError, EmbeddedPostgres, running_url

SOURCE = Path(embedded.__file__).parent.parent
OWNER = """
import signal, sys, time
from pathlib import Path
from hpts.embedded import EmbeddedPostgres
# Whatever started the tests may ignore them, as nohup and background jobs do.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
if sys.argv[2] == "stay":
    time.sleep(600)
"""


class Owner:
    """A process that starts the embedded database of `state_dir` and then stays or ends."""

    def __init__(self, state_dir: Path, then: str = "stay") -> None:
        self.state_dir = state_dir
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(state_dir), then],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            start_new_session=True,
        )

    def server_pid(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(10)

    def clear_away(self) -> None:
        """Of an owner that was killed, the server's empty socket folder stays in /tmp."""
        self.process.kill()
        self.process.communicate()
        with (self.state_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(embedded._socket_dir(self.state_dir.resolve()), ignore_errors=True)


@pytest.fixture
def owners() -> Iterator[list[Owner]]:
    started: list[Owner] = []
    yield started
    for owner in started:
        owner.clear_away()


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests of one process; each leaves it as it was, with no server."""
    state_dir = tmp_path_factory.mktemp("shared") / "state"
    with EmbeddedPostgres(state_dir):
        pass
    return state_dir


@pytest.fixture
def own_state_dir(state_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(state_dir, tmp_path / "state"))


def ask(url: str, query: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def write(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('safe')")


def lives(pid: int) -> bool:
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return line.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def socket_dir(url: str) -> Path:
    return Path(url.partition("?host=")[2].partition("&")[0])


def test_first_start_makes_a_database_and_the_second_keeps_its_data(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "deep" / "state")
    write(server.start())
    server.stop()
    began = time.monotonic()
    with server:
        assert time.monotonic() - began < 3
        assert ask(server.url, "SELECT word FROM kept") == "safe"


def test_the_cluster_is_durable_and_closed_to_the_network(state_dir: Path) -> None:
    with EmbeddedPostgres(state_dir) as server:
        shown = {
            name: ask(server.url, f"SHOW {name}")
            for name in ("fsync", "data_checksums", "listen_addresses", "server_encoding")
        }
        assert stat.S_IMODE(socket_dir(server.url).stat().st_mode) == 0o700
    assert shown == {
        "fsync": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
    }
    rules = (state_dir / "postgres" / "pg_hba.conf").read_text().splitlines()
    remote = [rule.split() for rule in rules if rule.startswith("host")]
    assert remote and all(rule[-1] == "reject" for rule in remote)


def test_settings_override_the_defaults_but_not_the_lifecycle(state_dir: Path) -> None:
    with EmbeddedPostgres(state_dir, settings={"max_connections": "20"}) as server:
        assert ask(server.url, "SHOW max_connections") == "20"
    with pytest.raises(ValueError, match="listen_addresses"):
        EmbeddedPostgres(state_dir, settings={"listen_addresses": "*"})


def test_stop_leaves_nothing_behind_and_may_be_repeated(state_dir: Path) -> None:
    server = EmbeddedPostgres(state_dir)
    server.stop()
    url = server.start()
    pid = server.pid
    assert running_url(state_dir) == url
    server.stop()
    server.stop()
    assert running_url(state_dir) is None
    assert not lives(pid)
    assert not socket_dir(url).exists()
    with pytest.raises(EmbeddedError, match="start"):
        assert server.pid


def test_a_state_dir_longer_than_a_socket_path_works(state_dir: Path, tmp_path: Path) -> None:
    long = tmp_path / ("d" * 120) / ("e" * 120)
    shutil.copytree(state_dir, long)
    with EmbeddedPostgres(long) as server:
        assert ask(server.url, "SELECT 1") == "1"
        assert running_url(long) == server.url


def test_a_relative_state_dir_is_the_same_as_the_absolute(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(state_dir.parent)
    with EmbeddedPostgres(Path("state")) as server:
        assert running_url(state_dir) == server.url


def test_the_callers_postgres_settings_and_secrets_do_not_reach_the_server(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"PGPORT": "6000", "PGPASSFILE": "/secret", "LANG": "de_DE", "HPTS_DATABASE_URL": "x"}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(state_dir) as server, psycopg.connect(server.url) as connection:
        connection.execute("CREATE TEMPORARY TABLE seen (line text)")
        connection.execute("COPY seen FROM PROGRAM 'env'")
        seen = {row[0] for row in connection.execute("SELECT line FROM seen")}
    assert f"PATH={os.environ['PATH']}" in seen
    assert not {f"{name}={value}" for name, value in ours.items()} & seen


def test_the_server_has_a_session_of_its_own_so_ctrl_c_does_not_reach_it(state_dir: Path) -> None:
    with EmbeddedPostgres(state_dir) as server:
        assert os.getsid(server.pid) == server.pid


def test_a_start_outside_the_main_thread_is_refused(tmp_path: Path) -> None:
    errors: list[str] = []

    def start() -> None:
        try:
            EmbeddedPostgres(tmp_path).start()
        except EmbeddedError as error:
            errors.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in errors[0]


def test_a_failed_start_shows_the_end_of_the_log_and_leaves_no_lock(state_dir: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"(?s)postgres\.log.*shared_buffers"):
        EmbeddedPostgres(state_dir, settings={"shared_buffers": "plenty"}).start()
    with EmbeddedPostgres(state_dir) as server:
        assert ask(server.url, "SELECT 1") == "1"


def test_the_log_is_cut_at_a_start_when_it_is_too_long(state_dir: Path) -> None:
    log = state_dir / "postgres.log"
    with log.open("wb") as file:
        file.truncate(embedded.LOG_BYTES_MAX + 1)
    with EmbeddedPostgres(state_dir):
        assert log.stat().st_size < 10_000


def test_kill_9_of_the_owner_ends_the_server_and_keeps_what_was_committed(
    own_state_dir: Path, owners: list[Owner]
) -> None:
    owners.append(Owner(own_state_dir))
    old_pid = owners[0].server_pid()
    url = running_url(own_state_dir)
    assert url is not None
    write(url)
    owners[0].end(signal.SIGKILL)
    with EmbeddedPostgres(own_state_dir) as server:
        assert not lives(old_pid)
        assert ask(server.url, "SELECT word FROM kept") == "safe"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None])
def test_no_end_of_the_owner_leaves_a_process(
    state_dir: Path, owners: list[Owner], number: int | None
) -> None:
    owners.append(Owner(state_dir, "stay" if number else "end"))
    pid = owners[0].server_pid()
    if number:
        owners[0].end(number)
    wait_until(lambda: not lives(pid))
    assert running_url(state_dir) is None


def test_kill_9_of_the_server_is_recovered_by_the_next_start(own_state_dir: Path) -> None:
    server = EmbeddedPostgres(own_state_dir)
    write(server.start())
    old_pid = server.pid
    os.kill(old_pid, signal.SIGKILL)
    wait_until(lambda: not lives(old_pid))
    try:
        assert running_url(own_state_dir) is None
        assert server.start() == server.url
        assert server.pid != old_pid
        assert ask(server.url, "SELECT word FROM kept") == "safe"
    finally:
        server.stop()


def test_a_stale_pid_file_with_the_pid_of_another_living_process_is_no_obstacle(
    state_dir: Path,
) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        stale = state_dir / "postgres" / "postmaster.pid"
        stale.write_text(f"{other.pid}\n{state_dir / 'postgres'}\n1\n5432\n/tmp\n\n\nready\n")
        try:
            with EmbeddedPostgres(state_dir) as server:
                assert ask(server.url, "SELECT 1") == "1"
                assert other.poll() is None
        finally:
            other.kill()


def test_every_process_of_the_server_holds_the_lock(state_dir: Path) -> None:
    with EmbeddedPostgres(state_dir) as server, psycopg.connect(server.url) as connection:
        for pid in (server.pid, connection.info.backend_pid):
            descriptors = Path(f"/proc/{pid}/fd").iterdir()
            assert state_dir / "lock" in [descriptor.readlink() for descriptor in descriptors]


def test_a_start_waits_for_a_server_that_is_still_ending(
    state_dir: Path, owners: list[Owner]
) -> None:
    owners.append(Owner(state_dir))
    old_pid = owners[0].server_pid()
    os.kill(old_pid, signal.SIGSTOP)
    owners[0].end(signal.SIGKILL)
    with (state_dir / "lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    go_on = threading.Timer(0.3, os.kill, (old_pid, signal.SIGCONT))
    go_on.start()
    with EmbeddedPostgres(state_dir) as server:
        assert not lives(old_pid)
        assert ask(server.url, "SELECT 1") == "1"
    go_on.join()


def test_kill_9_during_initdb_leaves_nothing_that_is_taken_for_a_database(
    tmp_path: Path, owners: list[Owner]
) -> None:
    unfinished = tmp_path / "postgres.unfinished"
    owners.append(Owner(tmp_path))
    wait_until((unfinished / "base").exists)
    owners[0].end(signal.SIGKILL)
    assert not (tmp_path / "postgres").exists()
    with EmbeddedPostgres(tmp_path) as server:
        assert ask(server.url, "SELECT 1") == "1"
    assert not unfinished.exists()


def test_remains_of_an_initdb_are_not_trusted(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres.unfinished"
    (unfinished / "base").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("15\n")
    with EmbeddedPostgres(tmp_path) as server:
        assert ask(server.url, "SELECT 1") == "1"


def test_a_folder_of_other_files_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "thesis.txt").write_text("years of work")
    with pytest.raises(EmbeddedError, match="is no database"):
        EmbeddedPostgres(tmp_path).start()
    assert (tmp_path / "postgres" / "thesis.txt").read_text() == "years of work"


def test_a_second_start_names_the_owner_at_once(state_dir: Path, owners: list[Owner]) -> None:
    owners.append(Owner(state_dir))
    server_pid = owners[0].server_pid()
    began = time.monotonic()
    with pytest.raises(EmbeddedError, match=f"already running, pid {owners[0].process.pid},"):
        EmbeddedPostgres(state_dir).start()
    assert time.monotonic() - began < 1
    assert lives(server_pid)
    assert running_url(state_dir) is not None


def test_a_second_start_within_one_process_is_refused_too(state_dir: Path) -> None:
    with EmbeddedPostgres(state_dir) as server:
        with pytest.raises(EmbeddedError, match=f"already running, pid {os.getpid()},"):
            EmbeddedPostgres(state_dir).start()
        assert ask(server.url, "SELECT 1") == "1"


def test_a_reused_pid_in_the_lock_is_not_its_owner(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_lock, "LOCK_SECONDS_MAX", 0.1)
    with (state_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()} another-boot 1")
        lock.flush()
        with pytest.raises(EmbeddedError, match="earlier run still holds"):
            EmbeddedPostgres(state_dir).start()


def test_a_state_dir_removed_under_its_server_is_noticed(own_state_dir: Path) -> None:
    with EmbeddedPostgres(own_state_dir) as server:
        moved = own_state_dir.rename(own_state_dir.parent / "moved")
        with pytest.raises(EmbeddedError, match="removed while it ran"):
            EmbeddedPostgres(own_state_dir).start()
        shutil.rmtree(own_state_dir)
        moved.rename(own_state_dir)
        assert ask(server.url, "SELECT 1") == "1"


def test_a_socket_dir_of_somebody_else_is_refused(state_dir: Path, tmp_path: Path) -> None:
    server = EmbeddedPostgres(state_dir)
    folder = socket_dir(server.url)
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(EmbeddedError, match="belongs to somebody else"):
            server.start()
        assert running_url(state_dir) is None
    finally:
        folder.unlink()
