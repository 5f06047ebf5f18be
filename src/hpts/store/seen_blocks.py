"""The newest block of each tenant that any process of this server has posted or shown.

It is memory that the processes share; a read from a standby must not be older. Each process writes
in a column of its own, so nobody waits and nothing is lost when one is killed; the newest of all
columns counts. Tenants that share a row are taken for as far as the furthest of them.
"""

import fcntl
import mmap
import os

COLUMNS = 512
"""Processes at once: twice 128 workers of two listeners, for while they are replaced."""
ROWS = 8_192
CELL_BYTES = 8


class SeenBlocks:
    """Make it before the processes are forked; each that writes calls `join` first."""

    def __init__(self) -> None:
        self._file = os.memfd_create("hpts-seen-blocks")
        size = COLUMNS + ROWS * COLUMNS * CELL_BYTES  # of which only what is touched is taken
        os.ftruncate(self._file, size)
        self._memory = mmap.mmap(self._file, size)
        self._cells = memoryview(self._memory)[COLUMNS:].cast("Q")
        self._column = -1

    def join(self) -> None:
        """Take a column that no living process has. What its last owner wrote stays true."""
        for column in range(COLUMNS):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, column)
            except OSError:
                continue
            self._column = column
            self._memory[column] = 1  # from now on it is looked at
            return
        raise RuntimeError(f"more than {COLUMNS} processes share what was seen")

    def note(self, tenant_id: bytes, block_number: int) -> None:
        """The tenant has a block of that number."""
        cell = self._row(tenant_id) + self._column
        self._cells[cell] = max(self._cells[cell], block_number)

    def find(self, tenant_id: bytes) -> int:
        """The number of the newest block seen, 0 for none."""
        row = self._row(tenant_id)
        width = self._memory[:COLUMNS].rfind(b"\1") + 1
        return max(self._cells[row : row + width], default=0)

    @staticmethod
    def _row(tenant_id: bytes) -> int:
        return int.from_bytes(tenant_id[-4:], "big") % ROWS * COLUMNS
