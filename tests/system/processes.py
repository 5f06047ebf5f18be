"""Starts `hpts` as a user does, and knows every process that belongs to what it started.

Processes are told apart by pid and start time, since pids are used again. It ends only what it
started, by pid.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from hpts.http.issuer import DEVELOPMENT_ISSUER, DevelopmentIssuer
from hpts.metrics.listener import PROCESS_NAME
from loadtest.development_server import free_port
from tests.conftest import Server, clean_environment

quiet_port = free_port
"""Below those that the kernel gives to clients: no other test has the port meanwhile."""
UNKNOWN_TENANT = "00000000-0000-4000-8000-000000000001"
READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
COMMAND_SECONDS_MAX = 60
HPTS = (sys.executable, "-m", "hpts.cli")


class Process(NamedTuple):
    """A process as /proc shows it; `started` is in clock ticks since boot."""

    pid: int
    started: str
    command: str


def descendants(pid: int) -> list[Process]:
    """Every living process below `pid`, itself not among them."""
    parents: dict[int, list[Process]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (fields := _stat(int(folder.name))) is not None:
            state, parent, *rest = fields
            if state not in "ZX":
                found = Process(int(folder.name), rest[17], _command(folder))
                parents.setdefault(int(parent), []).append(found)
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += [child.pid for child in children]
    return found


def lives(process: Process) -> bool:
    fields = _stat(process.pid)
    return fields is not None and fields[0] not in "ZX" and fields[19] == process.started


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return line.rpartition(")")[2].split()


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def wait_until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


def wait_until_gone(processes: Sequence[Process], seconds: float = 60) -> None:
    """Fails with the processes that are still there."""
    deadline = time.monotonic() + seconds
    while left := [process for process in processes if lives(process)]:
        assert time.monotonic() < deadline, f"still there after {seconds} s: {left}"
        time.sleep(0.01)


def workers_of(server: subprocess.Popen[bytes]) -> list[Process]:
    """The forked workers: they show the command of the server itself."""
    return [
        child
        for child in descendants(server.pid)
        if "postgres" not in child.command and not is_for_metrics(child)
    ]


def is_for_metrics(process: Process) -> bool:
    """Whether it answers Prometheus rather than clients."""
    try:
        return Path(f"/proc/{process.pid}/comm").read_text().strip() == PROCESS_NAME
    except OSError:
        return False  # it has ended


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def serving_environment(
    database_url: str, issuer: DevelopmentIssuer, port: int, **variables: str
) -> dict[str, str]:
    """What `hpts serve` needs; `variables` go over it."""
    return clean_environment(
        **{
            "HPTS_DATABASE_URL": database_url,
            "HPTS_PORT": str(port),
            "HPTS_WORKERS": "2",
            "HPTS_ISSUER": DEVELOPMENT_ISSUER,
            "HPTS_JWKS_URL": issuer.jwks_path.resolve().as_uri(),
            **variables,
        }
    )


@contextmanager
def serving(
    database_url: str, issuer: DevelopmentIssuer, log: Path, port: int, **variables: str
) -> Iterator[Server]:
    """A ready `hpts serve` on a port of the test's choice; killed at the end if it still runs."""
    with serving_unready(database_url, issuer, log, port, **variables) as process:
        server = Server(f"http://127.0.0.1:{port}", database_url, log, process)
        wait_for(process, lambda: answers(f"{server.base_url}/v1/health/ready"), log)
        yield server


@contextmanager
def serving_unready(
    database_url: str, issuer: DevelopmentIssuer, log: Path, port: int, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The same, from the moment it is started."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*HPTS, "serve"],
            env=serving_environment(database_url, issuer, port, **variables),
            stderr=output,
        )
    try:
        yield process
    finally:
        left = descendants(process.pid)
        process.kill()
        process.wait()
        wait_until_gone(left)


def wait_for(process: subprocess.Popen[bytes], true: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not true():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{process.args} did not get ready:\n{log.read_text()[-4000:]}")
        time.sleep(0.01)


class Development:
    """A started `hpts dev`, in a session of its own as in a terminal of its own."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        command: Sequence[str] = (*HPTS, "dev"),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.environment = clean_environment(
            HPTS_PORT=str(port), HPTS_STATE_DIR=str(folder / "state")
        ) | (environment or {})
        self._out, self._log = folder / "out", folder / "log"
        began = time.monotonic()
        with self._out.open("wb") as out, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for(self.process, lambda: "Ctrl-C stops everything" in self.announced, self._log)
        except BaseException:
            self.kill()
            raise
        self.ready_seconds = time.monotonic() - began

    @property
    def announced(self) -> str:
        """What it printed on standard output."""
        return self._out.read_text()

    @property
    def log(self) -> str:
        """What it printed on standard error."""
        return self._log.read_text()

    def printed(self, label: str) -> str:
        """The value beside a label such as `Client id`."""
        lines = [line.strip() for line in self.announced.splitlines()]
        (found,) = [line for line in lines if line.startswith(f"{label}  ")]
        return found.removeprefix(label).strip()

    @property
    def token(self) -> str:
        lines = self.announced.splitlines()
        (found,) = [line for line in lines if line.startswith("export TOKEN=")]
        return found.removeprefix("export TOKEN=")

    def processes(self) -> list[Process]:
        return descendants(self.process.pid)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`hpts ARGUMENTS` with the same settings."""
        return run_hpts(*arguments, environment=self.environment | variables, folder=self.folder)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit status, after a signal to the first process alone."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS_MAX)

    def kill(self) -> list[Process]:
        """Kill the first process alone; those that were below it, whether or not they still are."""
        left = self.processes()
        self.process.kill()
        self.process.wait()
        return left


@contextmanager
def developing(
    folder: Path,
    port: int,
    *,
    command: Sequence[str] = (*HPTS, "dev"),
    environment: dict[str, str] | None = None,
) -> Iterator[Development]:
    """`hpts dev` in `folder`; stopped at the end where it still runs."""
    development = Development(folder, port, command=command, environment=environment)
    try:
        yield development
    finally:
        if development.process.poll() is None:
            left = development.processes()
            development.process.send_signal(signal.SIGTERM)
            try:
                development.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                development.kill()
            wait_until_gone(left)


def run_hpts(
    *arguments: str, environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run `hpts ARGUMENTS` to its end."""
    return subprocess.run(
        [*HPTS, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """To every process of the session, as a terminal does for Ctrl-C."""
    os.killpg(process.pid, number)


def check_message(finished: subprocess.CompletedProcess[str], status: int, *parts: str) -> None:
    """It failed with `status` and says every one of `parts`, and no traceback."""
    said = finished.stdout + finished.stderr
    assert finished.returncode == status, said
    assert "Traceback" not in said, said
    for part in parts:
        assert part in said, said
