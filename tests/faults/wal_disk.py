"""A small file system of its own for PostgreSQL's log, which a test may fill.

It is a tmpfs, so it takes the right to mount. Where that is missing there is none, and only the
other way to run out of space is tested: a limit on the size of files, which PostgreSQL treats as a
full disk (it ignores SIGXFSZ for that reason), and which anybody may set for their own processes.
"""

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

SIZE_MB = 160
CHUNK_BYTES = 1 << 20


class WalDisk:
    """A mounted tmpfs; unmounted by `remove`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"

    @classmethod
    def mount(cls, folder: Path) -> "WalDisk | None":
        """None where this process may not mount."""
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "tmpfs", str(folder)]
        try:
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return cls(folder)

    def take_over(self, data_dir: Path) -> None:
        """Move the log of a stopped PostgreSQL here."""
        log, moved = data_dir / "pg_wal", self._folder / "pg_wal"
        shutil.move(log, moved)
        owner = data_dir.stat()
        for path in (self._folder, moved, *moved.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        log.symlink_to(moved)

    def fill(self) -> None:
        """Until nothing more fits."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (CHUNK_BYTES, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def remove(self) -> None:
        subprocess.run(["umount", "-l", str(self._folder)], capture_output=True, check=False)


def limit_files(pids: Iterable[int], size: int) -> None:
    """Let these processes write no file beyond `size` bytes; -1 lifts the limit."""
    for pid in pids:
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
        except ProcessLookupError:
            continue
