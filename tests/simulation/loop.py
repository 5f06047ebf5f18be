"""A deterministic event loop: time is a number that jumps to the next timer; nothing is real."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import hpts.decisions
import hpts.ledger
import hpts.posting

TURNS_MAX = 100_000
"""A scenario that turns the loop more often than this does not come to an end."""


class Stuck(Exception):
    """Somebody waits, and nothing is left that could happen."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Time, chance and the log of one scenario. Waiting for input is moving the clock."""

    def __init__(self, seed: int, *, is_traced: bool = False) -> None:
        super().__init__()
        self.draw = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.trace: list[str] | None = [] if is_traced else None
        self._now = 0.0
        self._turns = 0
        self._selector = self  # what BaseEventLoop waits on
        self.set_exception_handler(self._complain_of)

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> tuple[()]:
        """Nothing is ever read or written: the next thing to happen is the next timer."""
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise Stuck("the scenario does not come to an end")
        if timeout is None:
            raise Stuck("somebody waits, and nothing is left that could happen")
        if timeout > 0:
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        return ()

    def start_again(self) -> None:
        """Allow as many turns once more."""
        self._turns = 0

    def _process_events(self, event_list: tuple[()]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def note(self, kind: str, *details: object) -> None:
        """Count an event and, when the scenario is traced, keep it."""
        self.counts[kind] += 1
        self.say(kind, *details)

    def say(self, *words: object) -> None:
        """Keep a line of the trace."""
        if self.trace is not None:
            text = " ".join(word if isinstance(word, str) else shown(word) for word in words)
            self.trace.append(f"{self._now:10.6f} {text}")

    def complain(self, complaint: str) -> None:
        """Note that something is wrong: the scenario will fail."""
        self.complaints.append(f"at {self._now:.6f}: {complaint}")
        self.say("WRONG:", complaint)

    def _complain_of(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.complain(f"{context['message']}: {error!r}")


def shown(word: object) -> str:
    """A word of the trace: of bytes that are no text, the first ones."""
    if isinstance(word, bytes):
        text = word.decode("ascii", "replace")
        return text if text.isprintable() and "\ufffd" not in text else word.hex()[:8]
    return repr(word)


def running() -> SimulatedLoop:
    """The loop of the scenario that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


def _warn(message: str, *arguments: object) -> None:
    running().say("log:", message % arguments)


def _randbits(count: int) -> int:
    return running().draw.getrandbits(count)


CLOCK = SimpleNamespace(monotonic=lambda: running().time())
CHANCE = SimpleNamespace(randbits=_randbits)
LOG = SimpleNamespace(warning=_warn)


@contextmanager
def simulated_modules() -> Iterator[None]:
    """The clock, chance and log that the modules under test see are the running loop's."""
    with ExitStack() as stack:
        for module, name, stand_in in (
            (hpts.ledger, "time", CLOCK),
            (hpts.posting, "time", CLOCK),
            (hpts.decisions, "time", CLOCK),
            (hpts.decisions, "secrets", CHANCE),
            (hpts.ledger, "logger", LOG),
        ):
            stack.enter_context(mock.patch.object(module, name, stand_in))
        yield
