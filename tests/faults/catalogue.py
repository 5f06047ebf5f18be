"""Every kind of fault, with how often a shard of the short run has it, and the order drawn.

Timeouts that a pause may have to outlast: a lock 2 s, a connection attempt 3 s, a posting's
deadline 5 s, a body 10 s, a statement 30 s, a pipeline 40 s, an idle transaction 5 s. The short
run outlasts the first three in every shard; all of them are outlasted by
`test_a_pause_past_every_timeout_loses_nothing` and, again and again, by a long run.
"""

import random

from . import database_faults as database
from . import link_faults as link
from . import process_faults as process
from . import standby_faults as standby
from .fault import Kind
from .proxy import Effect, Moment

CUTS_DURING = (Effect.CUT, Effect.CUT_UNSEEN, Effect.CUT_UNSEEN)
STALLS = (Effect.STALL, Effect.STALL_AND_CUT)

KINDS = (
    Kind("link cut before COMMIT", link.at_commit(Moment.BEFORE, Effect.CUT), 10),
    Kind("link cut during COMMIT", link.at_commit(Moment.DURING, *CUTS_DURING), 12),
    Kind("link cut after COMMIT", link.at_commit(Moment.AFTER, Effect.CUT), 9),
    Kind("link stalled before COMMIT", link.at_commit(Moment.BEFORE, *STALLS), 7),
    Kind("link stalled during COMMIT", link.at_commit(Moment.DURING, *STALLS), 7),
    Kind("link stalled after COMMIT", link.at_commit(Moment.AFTER, *STALLS), 6),
    Kind("every link cut", link.every_link_cut, 7),
    Kind("every link stalled", link.every_link_stalled, 7),
    Kind("every link stalled, then cut", link.every_link_stalled_and_cut, 6),
    Kind("every link slow", link.every_link_slow, 6),
    Kind("database unreachable", link.database_unreachable, 6),
    Kind("link stalled 6 s", link.link_stalled_past_the_deadline, 1),
    Kind("worker killed", process.worker_killed, 6),
    Kind("worker killed during COMMIT", process.worker_killed_before_it_hears, 6),
    Kind("every worker killed", process.every_worker_killed, 2),
    Kind("worker killed twice", process.worker_killed_again, 1),
    Kind("worker paused", process.worker_paused, 6),
    Kind("worker paused 6 s", process.worker_paused_past_the_deadline, 1),
    Kind("server killed", process.server_killed, 1),
    Kind("server killed during COMMIT", process.server_killed_before_it_hears, 1),
    Kind("server restarted", process.server_restarted, 2),
    Kind("server paused", process.server_paused, 4),
    Kind("clock stepped forward", process.clock_forward, 5),
    Kind("clock stepped back", process.clock_back, 5),
    Kind("PostgreSQL killed", database.postgres_killed, 2),
    Kind("PostgreSQL shut down at once", database.postgres_shut_down_immediately, 1),
    Kind("PostgreSQL restarted", database.postgres_restarted, 2),
    Kind("PostgreSQL process killed", database.backend_killed, 3),
    Kind("PostgreSQL sessions ended", database.backends_terminated, 5),
    Kind("PostgreSQL sessions paused", database.backends_paused, 5),
    Kind("PostgreSQL paused", database.postgres_paused, 5),
    Kind("PostgreSQL paused 6 s", database.postgres_paused_past_the_deadline, 1),
    Kind("connections exhausted", database.connections_exhausted, 3),
    Kind("disk of the log full", database.wal_disk_full, 2),
    Kind("no file may grow", database.files_limited, 1),
)


PAIR_KINDS = (
    Kind("primary killed, standby promoted", standby.of_pair(standby.primary_killed), 3),
    Kind("primary killed, waits cancelled", standby.of_pair(standby.primary_killed_unheard), 1),
    Kind("standby killed", standby.of_pair(standby.standby_killed), 2),
    Kind("standby paused", standby.of_pair(standby.standby_paused), 3),
    Kind("waits for standby cancelled", standby.of_pair(standby.waits_cancelled), 2),
)
"""Of a test of their own, with two servers of PostgreSQL."""
LONGEST = Kind("everything paused 62 s", process.everything_paused, 1)
"""Of a test of its own, and of a long run."""


def draw_order(draw: random.Random, *, has_wal_disk: bool, is_long: bool) -> list[Kind]:
    """One short run's worth of faults in random order."""
    kinds = [kind for kind in KINDS for _ in range(kind.times)]
    if is_long:
        kinds.append(LONGEST)
    if not has_wal_disk:
        kinds = [kind for kind in kinds if kind.fault is not database.wal_disk_full]
    draw.shuffle(kinds)
    return kinds


def draw_pair_order(draw: random.Random) -> list[Kind]:
    """The faults of a pair in random order."""
    kinds = [kind for kind in PAIR_KINDS for _ in range(kind.times)]
    draw.shuffle(kinds)
    return kinds
