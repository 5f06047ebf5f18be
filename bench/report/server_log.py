"""Keeps the log of a server under load small, and counts what in it is worth a look.

At full speed a server writes gigabytes of request lines; the file is cut before the disk, which
is being measured, has to take them.
"""

import re
import threading
from pathlib import Path

CUT_BYTES = 32 * 1024 * 1024
LOOK_SECONDS = 0.5
NOTABLE = re.compile(rb'^.*"level":\s*"(?:warning|error)".*$', re.MULTILINE)
SAMPLES_MAX = 5
SAMPLE_CHARACTERS_MAX = 300


class ServerLog:
    """A log file that its server appends to, watched by a thread until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notable_count = 0
        self.samples: list[str] = []
        self._tail = b""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        path.touch()
        self._thread.start()

    def close(self) -> None:
        """Stop watching, and count what came last."""
        self._stopped.set()
        self._thread.join()
        self._read_and_cut()

    def tail(self) -> str:
        """The end of the log, for an error's message."""
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - 4096))
            return (self._tail + file.read())[-4096:].decode(errors="replace")

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            if self.path.stat().st_size > CUT_BYTES:
                self._read_and_cut()

    def _read_and_cut(self) -> None:
        # What is written between the two statements is lost; these are figures, not accounts.
        content = self.path.read_bytes()
        with self.path.open("ab") as file:
            file.truncate(0)
        self._tail = content[-4096:]
        for match in NOTABLE.finditer(content):
            self.notable_count += 1
            if len(self.samples) < SAMPLES_MAX:
                self.samples.append(match[0].decode(errors="replace")[:SAMPLE_CHARACTERS_MAX])
