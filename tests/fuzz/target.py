"""What is fuzzed, and the run of it: inputs drawn from a seed, each checked, each to be had again.

Input number N of a target is drawn from `Random(f"{seed}/{name}/{N}")` and from nothing else. A
part of the inputs comes from hypothesis, which drives the same draws and shrinks what it finds; the
others do without, because a draw of hypothesis costs more than most of what is checked here.
"""

import math
import mmap
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

import hypothesis
from hypothesis import strategies as st

BY_HYPOTHESIS, BY_HYPOTHESIS_MAX = 20, 1_000
"""Every so many inputs, one comes from hypothesis, but no more than that of a target: one costs
ten times what another does, and what it is for, small inputs and shrinking, it does with few."""
INPUT_SECONDS_MAX = 20
FINDINGS_SHOWN_MAX = 5
SHOWN_LENGTH_MAX = 4_000


class Target(NamedTuple):
    """`check` says in a word how an input was taken (a status, "refused") and raises where it finds
    something. `of_bytes` makes an input of arbitrary bytes, where a target is about bytes."""

    draw: Callable[[Random], Any]
    check: Callable[[Any], str]
    of_bytes: Callable[[bytes], Any] | None = None


class Report(NamedTuple):
    """How a run went. `outcomes` counts inputs by how they were taken."""

    inputs: int
    outcomes: dict[str, int]
    slowest_ms: float
    seconds: float
    findings: list[str]


class TookTooLong(Exception):
    """An input was not done within INPUT_SECONDS_MAX."""


class Marker:
    """The number of the input that is being checked, kept in a file: what it was can be told when
    the process is gone."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._kept = mmap.mmap(file.fileno(), 8)

    def note(self, number: int) -> None:
        self._kept[:] = number.to_bytes(8, "big")

    @staticmethod
    def read(path: Path) -> int:
        return int.from_bytes(path.read_bytes(), "big")


class Run:
    """A target's run with a seed."""

    def __init__(self, name: str, target: Target, seed: int, marker: Marker) -> None:
        self._name = name
        self._target = target
        self._seed = seed
        self._marker = marker
        self._outcomes: Counter[str] = Counter()
        self._slowest = 0.0
        self._findings: list[str] = []
        self._places: set[str] = set()
        self._until = math.inf

    def run(self, inputs: int, seconds_max: float | None = None) -> Report:
        """Check so many inputs, or as many as there is time for."""
        began = time.perf_counter()
        self._until = math.inf if seconds_max is None else began + seconds_max
        by_hypothesis = min(inputs // BY_HYPOTHESIS, BY_HYPOTHESIS_MAX)
        with interrupted_when_too_long():
            self._run_hypothesis(by_hypothesis)
            for number in range(1, inputs - by_hypothesis + 1):
                if len(self._findings) >= FINDINGS_SHOWN_MAX or self._is_over():
                    break
                self.one(number)
        seconds = time.perf_counter() - began
        total = sum(self._outcomes.values())
        return Report(total, dict(self._outcomes), self._slowest * 1000, seconds, self._findings)

    def _is_over(self) -> bool:
        return time.perf_counter() >= self._until

    def one(self, number: int) -> None:
        """Check the input of a number, and keep what it finds."""
        self._marker.note(number)
        drawn = self._target.draw(Random(f"{self._seed}/{self._name}/{number}"))
        try:
            self._check(drawn)
        except Exception as error:
            place = repr(traceback.extract_tb(error.__traceback__)[-1])
            if place not in self._places:  # the same line again says nothing new
                self._places.add(place)
                self._keep(f"input {number}", drawn, error)
            self._outcomes["found"] += 1

    def _check(self, drawn: Any) -> None:
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, INPUT_SECONDS_MAX)
        outcome = self._target.check(drawn)
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._slowest = max(self._slowest, time.perf_counter() - began)
        self._outcomes[outcome] += 1

    def _run_hypothesis(self, examples: int) -> None:
        if not examples:
            return
        target = self._target
        drawn_alike = st.randoms(use_true_random=False).map(target.draw)
        inputs = drawn_alike
        if target.of_bytes is not None:
            inputs = inputs | st.binary(max_size=500).map(target.of_bytes)
        last: list[Any] = []

        @hypothesis.seed(self._seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(inputs)
        def check(drawn: Any) -> None:
            if self._is_over():
                return
            last[:] = [drawn]
            self._check(drawn)

        try:
            check()
        except Exception as error:
            self._keep("hypothesis, shrunk", last, error)
            self._outcomes["found"] += 1

    def _keep(self, where: str, drawn: Any, error: Exception) -> None:
        shown = repr(drawn)
        if len(shown) > SHOWN_LENGTH_MAX:
            shown = f"{shown[:SHOWN_LENGTH_MAX]}... ({len(shown)} characters)"
        trace = "".join(traceback.format_exception(error)[-6:])
        self._findings.append(f"{self._name}, seed {self._seed}, {where}: {shown}\n{trace}")


@contextmanager
def interrupted_when_too_long() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"an input takes longer than {INPUT_SECONDS_MAX} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
