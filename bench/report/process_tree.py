"""What the processes under a starter cost, read from /proc: CPU time and resident memory.

PostgreSQL's processes are told apart by their command lines. A process that has ended counts on
through the children's time of the one that waited for it, so that differences lose nothing.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
NAMED = "hpts-"
"""What the children that do not serve call themselves: hpts-metrics, hpts-relay."""
PARENT, CPU_FIRST, CPU_LAST = 1, 11, 15
"""Fields of /proc/PID/stat after the name: parent, and utime, stime, cutime, cstime."""


class Process(NamedTuple):
    """A process; its CPU time includes that of the ended children it has waited for."""

    pid: int
    parent_pid: int
    command: str
    cpu_seconds: float

    @property
    def is_postgres(self) -> bool:
        """By its title ("postgres: ...") or its program."""
        program = self.command.partition("\0")[0]
        return program.startswith("postgres:") or program.rpartition("/")[2] == "postgres"


class CpuSeconds(NamedTuple):
    """User and system time of a tree's processes, those of PostgreSQL and the others."""

    server: float
    postgres: float

    def __sub__(self, earlier: "CpuSeconds") -> "CpuSeconds":
        return CpuSeconds(self.server - earlier.server, self.postgres - earlier.postgres)


def cpu_of(root_pid: int) -> CpuSeconds:
    """CPU time so far of `root_pid` and everything it started."""
    return sum_cpu(descendants(root_pid, read_processes()))


def sum_cpu(processes: Iterable[Process]) -> CpuSeconds:
    """CPU time of these processes by kind."""
    seconds = {True: 0.0, False: 0.0}
    for process in processes:
        seconds[process.is_postgres] += process.cpu_seconds
    return CpuSeconds(server=seconds[False], postgres=seconds[True])


def descendants(root_pid: int, processes: Iterable[Process]) -> list[Process]:
    """`root_pid`'s process and all below it."""
    children: dict[int, list[Process]] = {}
    found: list[Process] = []
    for process in processes:
        children.setdefault(process.parent_pid, []).append(process)
        if process.pid == root_pid:
            found.append(process)
    for process in found:  # grows while it is walked
        found += children.get(process.pid, [])
    return found


def read_processes(proc: Path = PROC) -> Iterator[Process]:
    """Every process of the machine that can be read."""
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text(errors="replace")
                command = (folder / "cmdline").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended meanwhile, or is none of our business
            yield parse_process(stat, command)


def parse_process(stat: str, command: str) -> Process:
    """A process from its `stat` and `cmdline`."""
    # The name in parentheses may itself hold blanks and parentheses.
    pid, _, rest = stat.partition(" ")
    fields = rest.rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[CPU_FIRST:CPU_LAST])
    return Process(int(pid), int(fields[PARENT]), command, ticks / TICKS_PER_SECOND)


def workers_of(root_pid: int) -> list[int]:
    """The pids of a server's worker processes: the children that serve."""
    return [
        process.pid
        for process in descendants(root_pid, read_processes())
        if process.parent_pid == root_pid
        and not process.is_postgres
        and "resource_tracker" not in process.command
        and not _is_named(process.pid)
    ]


def _is_named(pid: int, proc: Path = PROC) -> bool:
    """Whether it has another job than to answer clients; it shows the server's command."""
    try:
        return (proc / str(pid) / "comm").read_text().startswith(NAMED)
    except OSError:
        return False  # it has ended meanwhile


def resident_mb(pid: int, proc: Path = PROC) -> float | None:
    """Resident memory in MB (a million bytes), or None when the process has ended."""
    try:
        status = (proc / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None
