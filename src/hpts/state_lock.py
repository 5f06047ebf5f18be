"""The lock that says whether a state directory is in use, by us or by our PostgreSQL.

It is a flock on `lock` whose descriptor PostgreSQL and its children inherit, so that it is held
while any of them lives and is free by itself after the last. The file is never removed: whoever
had it open would go on holding a lock that nobody else can see.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from hpts.postgres_binaries import EmbeddedError

LOCK_SECONDS_MAX = 15.0
"""How long PostgreSQL may take to end after its owner was killed."""
POLL_SECONDS = 0.02
OWNER_BYTES_MAX = 256


class StateLock:
    """A held lock; `descriptor` is what PostgreSQL must inherit."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def acquire(cls, state_dir: Path) -> Self:
        """Raises EmbeddedError at once when a living HPTS holds it, later when something does."""
        path = state_dir / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait_for(descriptor, path)
            _name_owner(descriptor, f"{os.getpid()} {_process_start(os.getpid())}")
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Give up our share. LOCK_UN would also take away PostgreSQL's."""
        _name_owner(self.descriptor, "")
        os.close(self.descriptor)


def _wait_for(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS_MAX
    while not _try_lock(descriptor):
        owner = _living_owner(descriptor)
        if owner is not None:
            raise EmbeddedError(
                f"already running, pid {owner}, on {path.parent};"
                " stop it, or set HPTS_STATE_DIR to another directory"
            )
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"PostgreSQL of an earlier run still holds {path} after {LOCK_SECONDS_MAX:.0f} s;"
                f" `fuser {path}` shows its processes"
            )
        time.sleep(POLL_SECONDS)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _name_owner(descriptor: int, owner: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, owner.encode(), 0)


def _living_owner(descriptor: int) -> int | None:
    """The start time beside the pid tells the owner from a later process of the same pid."""
    pid, _, started = os.pread(descriptor, OWNER_BYTES_MAX, 0).decode().partition(" ")
    if not pid.isdecimal() or not started or _process_start(int(pid)) != started:
        return None
    return int(pid)


def _process_start(pid: int) -> str | None:
    """Boot and clock ticks since it; None for no process, or a zombie, which holds nothing."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # The second field is the program's name in brackets, which may itself hold anything.
    state, *fields = line.rpartition(")")[2].split()
    return None if state in "ZX" else f"{boot} {fields[18]}"
