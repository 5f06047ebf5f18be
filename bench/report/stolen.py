"""How much of the cores the machine below a virtual one took while something was measured."""

import os
import threading
import time
from pathlib import Path
from typing import Self

STAT = Path("/proc/stat")
STEAL = 7
"""Of the numbers behind "cpu": user, nice, system, idle, iowait, irq, softirq, steal."""
LOOK_SECONDS = 1.0


class StolenTime:
    """A context manager. `seconds` is CPU time in all, `worst_share` that of all cores in the worst
    second, 0 to 1."""

    def __init__(self, stat: Path = STAT, look_seconds: float = LOOK_SECONDS) -> None:
        self.seconds = self.worst_share = 0.0
        self._stat = stat
        self._look_seconds = look_seconds
        self._cores = os.cpu_count() or 1
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._at, self._stolen = time.monotonic(), self._read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(self._look_seconds):
            self._look()

    def _look(self) -> None:
        at, stolen = time.monotonic(), self._read()
        taken, passed = stolen - self._stolen, at - self._at
        self._at, self._stolen = at, stolen
        self.seconds += taken
        if passed > 0:
            self.worst_share = max(self.worst_share, min(1.0, taken / passed / self._cores))

    def _read(self) -> float:
        """Seconds since the machine was started."""
        numbers = self._stat.read_text().split("\n", maxsplit=1)[0].split()[1:]
        ticks = int(numbers[STEAL]) if len(numbers) > STEAL else 0
        return ticks / os.sysconf("SC_CLK_TCK")
