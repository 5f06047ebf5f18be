"""What the seed does to one run of statements: delays, failures, lost connections."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

TRY_AGAIN = ("40001", "40P01", "55P03", "23505")
FAILURES = (*TRY_AGAIN, "57014", "53100", "53300", "XX000", "XX001")
"""sqlstates of statements that fail for no reason of their own."""
SILENT_SECONDS = 40.0
"""After so long without an answer a wire gives its connection up."""
RUN_FAULTS = {
    "slow statement": 6,
    "slow commit": 6,
    "slow answer": 3,
    "lost before it arrived": 4,
    "lost halfway": 4,
    "lost with the answer": 8,
    "lost during a slow commit": 6,
    "statement failed": 9,
}
"""What may happen to a run, and how often against each other."""
SILENT = "silent"


class Step(Protocol):
    """What a plan must know of a step."""

    @property
    def statement(self) -> str: ...


@dataclass(slots=True)
class Plan:
    """How one run of statements goes. Positions count from 0; -1 is nowhere."""

    there: float
    """How long the statements are under way."""
    back: float
    """How long the answer is."""
    arrived: int
    """How many of the statements reach the database."""
    is_deaf: bool = False
    """Whether the answer is lost."""
    lost_after: float | None = None
    """When the client sees that the connection is lost."""
    notice: float = 0.0
    """How long after that the database does."""
    fail_at: int = -1
    sqlstate: str = ""
    pause_at: int = -1
    pause: float = 0.0


class Faults:
    """The faults of one scenario, drawn from its seed run by run until it calms down."""

    def __init__(self, draw: random.Random, *, has_long_ones: bool) -> None:
        self.draw = draw
        self.has_long_ones = has_long_ones
        self.rate = draw.choice((0.0, 0.05, 0.15, 0.3))
        self.connect_rate = self.rate / 2
        self.silent_rate = 0.02 if draw.random() < 0.03 else 0.0
        self.fails_next = False  # whether the next batch does, as soon as it begins
        self._names = list(RUN_FAULTS)
        self._weights = list(RUN_FAULTS.values())

    def calm_down(self) -> None:
        """Nothing goes wrong any more."""
        self.fails_next = False
        self.rate = self.connect_rate = self.silent_rate = 0.0

    def plan(self, steps: Sequence[Step]) -> tuple[Plan, str | None]:
        """How a run of `steps` goes, and the name of its fault if it has one."""
        draw = self.draw
        plan = Plan(0.0002 + draw.random() * 0.0008, 0.0002 + draw.random() * 0.0008, len(steps))
        if steps[0].statement == "roll_back" and draw.random() < 0.8:
            return plan, None
        if self.fails_next and steps[0].statement == "begin_writing":
            self.fails_next = False
            plan.fail_at, plan.sqlstate = 1, "40001"
            return plan, "statement failed"
        chance = draw.random()
        if chance < self.silent_rate:
            plan.is_deaf, plan.lost_after = True, SILENT_SECONDS
            return plan, SILENT
        if chance >= self.rate:
            return plan, None
        (fault,) = draw.choices(self._names, self._weights)
        return plan, self._spoil(plan, fault, steps)

    def _spoil(self, plan: Plan, fault: str, steps: Sequence[Step]) -> str | None:
        draw, count = self.draw, len(steps)
        commits = steps[-1].statement == "commit"
        if fault == "slow answer":
            plan.back = self.pause()
        elif fault == "slow statement":
            plan.pause_at, plan.pause = draw.randrange(count), self.pause()
        elif fault == "statement failed":
            if count < 2:
                return None
            plan.fail_at = draw.randrange(1, count)
            plan.sqlstate = draw.choice(FAILURES)
        elif "slow commit" in fault:
            if not commits:
                return None
            plan.pause_at, plan.pause = count - 1, self.pause()
            if fault.startswith("lost"):
                self._lose(plan, plan.pause * draw.random())
        else:
            if fault == "lost before it arrived":
                plan.arrived = 0
            elif fault == "lost halfway":
                plan.arrived = draw.randrange(count)
            self._lose(plan, draw.random() * 0.004)
        return fault

    def _lose(self, plan: Plan, after: float) -> None:
        plan.is_deaf, plan.lost_after = True, 0.0001 + after
        plan.notice = self.pause() if self.draw.random() < 0.7 else 0.0

    def pause(self) -> float:
        """Mostly milliseconds; in a scenario of long ones up to seconds."""
        if self.has_long_ones and self.draw.random() < 0.1:
            return 0.5 + self.draw.random() * 3
        return min(self.draw.expovariate(60), 0.2)

    def long_pause(self) -> float:
        """As `pause`, in a scenario of long ones for up to longer than a posting waits."""
        if self.has_long_ones and self.draw.random() < 0.5:
            return self.draw.random() * 12
        return self.pause()
