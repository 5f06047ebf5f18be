"""How far a run is: one updating line on a terminal, a line every tenth of the work elsewhere.

Counts what was posted on the way, for the rate; knows nothing of what the postings mean.
"""

import time
from typing import TextIO

REDRAW_NS = 200_000_000
SPARSE_STEP_PERCENT = 10


class Progress:
    """Counts pool-days towards `steps_count` and the postings and lines made on the way."""

    def __init__(self, out: TextIO, steps_count: int) -> None:
        self.postings_count = 0
        self.lines_count = 0
        self._out = out
        self._steps_count = steps_count
        self._steps_done = 0
        self._started_ns = time.monotonic_ns()
        self._redrawn_ns = 0
        self._next_percent = SPARSE_STEP_PERCENT

    @property
    def elapsed_ms(self) -> int:
        """At least 1, so that a rate can be formed."""
        return max(1, (time.monotonic_ns() - self._started_ns) // 1_000_000)

    def posted(self, lines_count: int) -> None:
        self.postings_count += 1
        self.lines_count += lines_count

    def step(self) -> None:
        """One pool-day is done."""
        self._steps_done += 1
        percent = 100 * self._steps_done // self._steps_count
        if self._out.isatty():
            self._redraw(percent)
        elif percent >= self._next_percent:
            self._next_percent = percent - percent % SPARSE_STEP_PERCENT + SPARSE_STEP_PERCENT
            self._out.write(f"{self._line(percent)}\n")
            self._out.flush()

    def _redraw(self, percent: int) -> None:
        now_ns = time.monotonic_ns()
        is_last = self._steps_done == self._steps_count
        if is_last or now_ns - self._redrawn_ns >= REDRAW_NS:
            self._redrawn_ns = now_ns
            self._out.write(f"\r\x1b[K{self._line(percent)}" + ("\n" if is_last else ""))
            self._out.flush()

    def _line(self, percent: int) -> str:
        rate = 1000 * self.postings_count // self.elapsed_ms
        return f"{percent:3d} %  {self.postings_count:,} postings  {rate:,} postings/s"
