"""Faults of a pair: the primary is killed and its standby promoted, or the standby is away."""

import random
import signal
import time
from collections.abc import Callable

import psycopg

from .fault import Fault, NotHappened, hold, stopped
from .pair import Pair
from .world import World, is_running, send

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
WAITING_SECONDS_MAX = 5.0
CANCELLED_MIN = 5


def of_pair(fault: Callable[[Pair, random.Random], None]) -> Fault:
    """A fault that begins with a complete pair."""

    def on_world(world: World, draw: random.Random) -> None:
        assert isinstance(world, Pair)
        world.complete()
        hold(world, draw, 0.2, 0.6)
        fault(world, draw)

    return on_world


def primary_killed(pair: Pair, draw: random.Random) -> None:
    pair.kill_primary()
    hold(pair, draw, 0.0, 0.5)
    pair.promote_standby()


def primary_killed_unheard(pair: Pair, draw: random.Random) -> None:
    """The standby is away, so whatever is committed is on the primary alone. Somebody cancels the
    waits, then the primary is lost: nothing of that may have been answered."""
    pair.standby.stop()
    try:
        _cancel_waits(pair)
        pair.kill_primary()
    finally:
        pair.standby.start()
    pair.promote_standby()


def standby_killed(pair: Pair, draw: random.Random) -> None:
    """And started again: commits wait meanwhile."""
    for process in pair.standby_processes():
        send(process, signal.SIGKILL)
    pair.wait_until(lambda: not is_running(pair.standby.pid), WAITING_SECONDS_MAX)
    pair.wait_until(lambda: is_running(pair.standby.pid), WAITING_SECONDS_MAX)


def standby_paused(pair: Pair, draw: random.Random) -> None:
    with stopped(pair.standby_processes()):
        hold(pair, draw, 0.3, 0.9)


def waits_cancelled(pair: Pair, draw: random.Random) -> None:
    """As above, but the primary lives: whoever retries learns of it when the standby is back."""
    with stopped(pair.standby_processes()):
        _cancel_waits(pair)


def _cancel_waits(pair: Pair) -> None:
    """Until some were, again and again: what is retried waits again."""
    deadline = time.monotonic() + WAITING_SECONDS_MAX
    count = 0
    with psycopg.connect(pair.database_url, autocommit=True) as connection:
        while count < CANCELLED_MIN:
            if time.monotonic() > deadline:
                raise NotHappened
            for (pid,) in connection.execute(WAITING.encode()).fetchall():
                connection.execute("SELECT pg_cancel_backend(%s)", [pid])
                count += 1
            time.sleep(0.02)
