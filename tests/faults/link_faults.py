"""Faults of the link between the server and PostgreSQL: cut, stalled, slow, not there."""

import random

from .fault import Fault, NotHappened, hold
from .proxy import Effect, Moment, Trap
from .world import World

TRAP_SECONDS_MAX = 1.5
LINKS_MAX = 3
SLOW_SECONDS = (0.005, 0.04)


def at_commit(moment: Moment, *effects: Effect) -> Fault:
    """The links of the next one to three commits are cut or stalled, exactly there."""

    def fault(world: World, draw: random.Random) -> None:
        seconds = draw.uniform(0.05, 0.4) * world.stretch
        trap = Trap(moment, draw.choice(effects), seconds, draw.randint(1, LINKS_MAX))
        world.proxy.resets = draw.random() < 0.5
        world.proxy.trap = trap
        world.wait_until(lambda: not trap.left, TRAP_SECONDS_MAX)
        trap.left = 0
        if not trap.sprung:
            raise NotHappened
        world.wait_until(lambda: not trap.pending, seconds + 1)

    return fault


def every_link_cut(world: World, draw: random.Random) -> None:
    world.proxy.resets = draw.random() < 0.5
    world.background.call(world.proxy.cut_all)


def every_link_stalled(world: World, draw: random.Random) -> None:
    world.background.call(world.proxy.hold_all)
    hold(world, draw)
    world.background.call(world.proxy.let_go)


def every_link_stalled_and_cut(world: World, draw: random.Random) -> None:
    """As when a router loses its state: what was under way is never heard of again."""
    world.background.call(world.proxy.hold_all)
    hold(world, draw)
    world.background.call(world.proxy.cut_all)
    world.background.call(world.proxy.let_go)


def every_link_slow(world: World, draw: random.Random) -> None:
    world.proxy.delay_seconds = draw.uniform(*SLOW_SECONDS) * world.stretch
    hold(world, draw, 0.2, 0.5)
    world.proxy.delay_seconds = 0.0


def database_unreachable(world: World, draw: random.Random) -> None:
    world.proxy.resets = draw.random() < 0.5
    world.background.call(world.proxy.refuse)
    hold(world, draw)
    world.background.call(world.proxy.accept)


def link_stalled_past_the_deadline(world: World, draw: random.Random) -> None:
    """Longer than a posting may wait (5 s), a connection may take to open (3 s), and a lock may be
    waited for (2 s)."""
    world.background.call(world.proxy.hold_all)
    hold(world, draw, 6, 7)
    world.background.call(world.proxy.let_go)
