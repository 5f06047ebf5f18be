"""Faults of PostgreSQL: killed, paused, restarted, out of connections, out of space."""

import contextlib
import random
import signal
import time
from collections.abc import Sequence

import psycopg

from tests.system.processes import Process, lives, wait_until_gone

from .fault import NotHappened, hold, stopped
from .wal_disk import limit_files
from .world import World, is_running, send

CROWD_MAX = 60
PAUSED_BACKENDS_MAX = 3
CRASH_SECONDS_MAX = 5
NO_LIMIT = -1


def postgres_killed(world: World, draw: random.Random) -> None:
    """The postmaster, whose children then end by themselves; or all of them at once."""
    below = world.postgres_processes() if draw.random() < 0.5 else []
    for process in (world.postmaster, *below):
        send(process, signal.SIGKILL)
    wait_until_gone([world.postmaster])


def postgres_shut_down_immediately(world: World, draw: random.Random) -> None:
    """Without a checkpoint, so that the next start recovers."""
    send(world.postmaster, signal.SIGQUIT)
    world.wait_until(lambda: not is_running(world.postmaster.pid), 10)


def postgres_restarted(world: World, draw: random.Random) -> None:
    world.restart_postgres()


def backend_killed(world: World, draw: random.Random) -> None:
    """Or another process of PostgreSQL: it ends all sessions and recovers."""
    found = world.backends() if draw.random() < 0.7 else world.postgres_processes()
    if not found:
        raise NotHappened
    send(draw.choice(found), signal.SIGKILL)


def backends_terminated(world: World, draw: random.Random) -> None:
    """As an administrator does."""
    found = world.backends()
    if not found:
        raise NotHappened
    chosen = draw.sample(found, draw.randint(1, len(found)))
    with psycopg.connect(world.database_url, autocommit=True) as connection:
        for backend in chosen:
            connection.execute("SELECT pg_terminate_backend(%s)", [backend.pid])


def backends_paused(world: World, draw: random.Random) -> None:
    """Some that may hold locks which others wait for."""
    found = world.backends()
    if not found:
        raise NotHappened
    chosen = draw.sample(found, min(len(found), draw.randint(1, PAUSED_BACKENDS_MAX)))
    with stopped(chosen):
        hold(world, draw, 0.1, 0.5)


def postgres_paused(world: World, draw: random.Random) -> None:
    _pause_postgres(world, draw, 0.1, 0.5)


def postgres_paused_past_the_deadline(world: World, draw: random.Random) -> None:
    _pause_postgres(world, draw, 6, 7)


def connections_exhausted(world: World, draw: random.Random) -> None:
    """The server loses its connections, and others take every place before it has them again."""
    world.background.call(world.proxy.refuse)
    crowd = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            for _ in range(CROWD_MAX):
                crowd.append(psycopg.connect(world.crowd_url, connect_timeout=3))
        assert len(crowd) < CROWD_MAX, "there is no end of connections"
        world.background.call(world.proxy.accept)
        hold(world, draw)
    finally:
        world.background.call(world.proxy.accept)
        for connection in crowd:
            connection.close()


def wal_disk_full(world: World, draw: random.Random) -> None:
    """PostgreSQL cannot write its log: it ends all sessions, and cannot even recover until there is
    room again."""
    assert world.wal_disk is not None
    before = world.backends()
    world.wal_disk.fill()
    try:
        _await_crash(world, before)
        hold(world, draw)
    finally:
        world.wal_disk.free()


def files_limited(world: World, draw: random.Random) -> None:
    """No file of PostgreSQL can be written: every disk is full at once. Unlike a full disk it has
    no code of its own where a table has to grow (XX000)."""
    before = world.backends()
    _limit_postgres(world, 0)
    try:
        _await_crash(world, before)
        hold(world, draw)
    finally:
        _limit_postgres(world, NO_LIMIT)


def _limit_postgres(world: World, size: int) -> None:
    """The postmaster first, whose limit every child inherits."""
    if world.has_postgres:
        limit_files([world.postmaster.pid], size)
        limit_files([process.pid for process in world.postgres_processes()], size)


def _await_crash(world: World, before: Sequence[Process]) -> None:
    """Until the first commit has met the full disk, which ends every session."""
    deadline = time.monotonic() + CRASH_SECONDS_MAX
    while all(lives(backend) for backend in before):
        if not before or time.monotonic() > deadline:
            raise NotHappened
        time.sleep(0.01)


def _pause_postgres(world: World, draw: random.Random, low: float, high: float) -> None:
    with stopped([world.postmaster, *world.postgres_processes()]):
        hold(world, draw, low, high)
