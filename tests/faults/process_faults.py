"""Faults of the server's processes, of its clock, and of the service manager's kind: restarts."""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from .fault import NotHappened, hold, stopped
from .world import World, send

RESPAWN_SECONDS_MAX = 10
UNHEARD_SECONDS = 0.15
LONGEST_PAUSE_SECONDS = 62
DAY = 24 * 3600


def worker_killed(world: World, draw: random.Random) -> None:
    """The one that lives longest: granian gives up when one worker ends twice within 5.5 s."""
    workers = world.workers()
    if len(workers) < 2:
        raise NotHappened
    send(workers[0], signal.SIGKILL)


def worker_killed_before_it_hears(world: World, draw: random.Random) -> None:
    """It has sent its COMMITs, PostgreSQL has done them, and no answer ever arrives."""
    with _unheard(world):
        worker_killed(world, draw)


def every_worker_killed(world: World, draw: random.Random) -> None:
    workers = world.workers()
    if not workers:
        raise NotHappened
    for worker in workers:
        send(worker, signal.SIGKILL)


def server_killed_before_it_hears(world: World, draw: random.Random) -> None:
    with _unheard(world):
        server_killed(world, draw)


@contextmanager
def _unheard(world: World) -> Iterator[None]:
    """Hold back what PostgreSQL answers, until every client has had time to send something."""
    world.background.call(world.proxy.hold_answers)
    world.let_pass(UNHEARD_SECONDS)
    try:
        yield
    finally:
        world.background.call(world.proxy.let_go)


def worker_killed_again(world: World, draw: random.Random) -> None:
    """Twice within 5.5 s, which granian by itself would take for a crash loop."""
    workers = world.workers()
    if len(workers) < 2:
        raise NotHappened
    known = {worker.pid for worker in workers}
    send(workers[0], signal.SIGKILL)
    if not world.wait_until(
        lambda: any(worker.pid not in known for worker in world.workers()), RESPAWN_SECONDS_MAX
    ):
        raise AssertionError("the killed worker was not replaced")
    for worker in world.workers():
        if worker.pid not in known:
            send(worker, signal.SIGKILL)
    assert world.server.poll() is None, "the server ended with its workers"


def worker_paused(world: World, draw: random.Random) -> None:
    _pause_worker(world, draw, 0.1, 0.5)


def worker_paused_past_the_deadline(world: World, draw: random.Random) -> None:
    """Longer than its postings and its clients wait, with transactions open."""
    _pause_worker(world, draw, 6, 7)


def everything_paused(world: World, draw: random.Random) -> None:
    """A worker is stopped and every link stalled, both past every timeout there is."""
    workers = world.workers()
    if not workers:
        raise NotHappened
    world.background.call(world.proxy.hold_all)
    with stopped(workers[:1]):
        world.let_pass(LONGEST_PAUSE_SECONDS)
    world.background.call(world.proxy.let_go)


def server_paused(world: World, draw: random.Random) -> None:
    """All of its processes."""
    with stopped(world.server_processes()):
        hold(world, draw)


def server_killed(world: World, draw: random.Random) -> None:
    world.server.kill()
    world.server.wait()


def server_restarted(world: World, draw: random.Random) -> None:
    world.restart_server()


def clock_forward(world: World, draw: random.Random) -> None:
    """A second to a week; from a day on every token has expired."""
    _step_clock(world, draw, draw.choice((1, 60, 3600, 2 * DAY, 7 * DAY)))


def clock_back(world: World, draw: random.Random) -> None:
    """A second to a week; from ten seconds on new tokens are not valid yet."""
    _step_clock(world, draw, -draw.choice((1, 60, 3600, 2 * DAY, 7 * DAY)))


def _step_clock(world: World, draw: random.Random, seconds: float) -> None:
    with world.excusing(401):
        world.set_clock(seconds)
        hold(world, draw)
        world.set_clock(0)


def _pause_worker(world: World, draw: random.Random, low: float, high: float) -> None:
    workers = world.workers()
    if not workers:
        raise NotHappened
    with stopped([draw.choice(workers)]):
        hold(world, draw, low, high)
