"""What a fault is: a function that makes something fail, and returns when the failure has ended."""

import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tests.system.processes import Process

from .world import World, send

Fault = Callable[[World, random.Random], None]


class NotHappened(Exception):
    """There was nothing to fail at that moment; try again later."""


class Kind(NamedTuple):
    """A fault with its name in the table and how often a short run has it in each shard."""

    name: str
    fault: Fault
    times: int


@contextmanager
def stopped(processes: Sequence[Process]) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    for process in processes:
        send(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            send(process, signal.SIGCONT)


def hold(world: World, draw: random.Random, low: float = 0.1, high: float = 0.4) -> None:
    """Let a drawn time pass while something is out of order."""
    world.let_pass(draw.uniform(low, high) * world.stretch)
