"""Runs faults against a world under load, one after the other, and has the books judged after each.

A round is a dozen faults on tenants of its own, so that judging stays quick; the tenants of all
rounds are judged once more at the end.
"""

import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .fault import Kind, NotHappened
from .judge import Verdict, fingerprint, judge, judge_settled
from .load import Load
from .portfolio import Portfolio
from .record import Counts
from .table import Row
from .world import World

TENANTS_A_ROUND = 2
FAULTS_A_ROUND = 14
OUTAGE_SECONDS_MAX = 5.0
"""The rule: within this after a fault's end every client is served again."""
FINISH_SECONDS_MAX = 20
CALM_SECONDS_MAX = 0.25
HISTORY_MAX = 20
TRIES_MAX = 3


class Broken(AssertionError):
    """A rule was broken; the message tells seed, rule and what went before."""


class Served(NamedTuple):
    """How long after a fault's end the first client, and the last one, was served."""

    first_seconds: float
    outage_seconds: float


class Campaign:
    """Faults on one world, drawn from one seed."""

    def __init__(
        self, world: World, issue_token: Callable[..., str], seed: str, say: Callable[[str], None]
    ) -> None:
        self.rows: list[Row] = []
        self.counts = Counts(0, 0, 0, 0, 0)
        self.balances_count = 0
        self.seed = seed
        self._world = world
        self._issue_token = issue_token
        self._say = say
        self._draw = random.Random(f"{seed}/faults")
        self._rounds = self._not_happened = 0
        self._history: deque[str] = deque(maxlen=HISTORY_MAX)
        self._settled: dict[str, str] = {}
        """The fingerprints of the journals of earlier rounds, by tenant."""
        self._started_at = time.monotonic()

    def run(self, kinds: Sequence[Kind], *, until: float = math.inf) -> None:
        """Every one of them, in rounds, of which none begins after `until`. Raises Broken."""
        for start in range(0, len(kinds), FAULTS_A_ROUND):
            if time.monotonic() < until:
                self._run_round(kinds[start : start + FAULTS_A_ROUND])

    def judge_everything(self) -> None:
        """The books of every round, once more. Raises Broken."""
        verdict = Verdict()
        for tenant_id, settled in self._settled.items():
            found = judge_settled(self._world.database_url, tenant_id, settled)
            verdict = verdict.joined(found)
        self._demand(verdict.is_sound, f"at the end of the run: {verdict}")
        errors = self._world.errors_logged()
        self._demand(not errors, f"{len(errors)} errors in the log: {errors[:3]}")

    @property
    def faults_count(self) -> int:
        return len(self.rows)

    def summary(self) -> str:
        """One line for the end of the run."""
        counts = self.counts
        return (
            f"seed {self.seed}: {self.faults_count} faults ({self._not_happened} more had nothing"
            f" to fail) in {time.monotonic() - self._started_at:.0f} s;"
            f" {counts.postings:,} requests in {counts.attempts:,} attempts:"
            f" {counts.created:,} created,"
            f" {counts.replayed_when_in_doubt:,} found posted by a retry,"
            f" {counts.refused:,} refused; {self.balances_count:,} balances as foretold;"
            f" PostgreSQL started {self._world.postgres_starts} times,"
            f" the server {self._world.server_starts}"
        )

    def _run_round(self, kinds: Sequence[Kind]) -> None:
        self._rounds += 1
        load = self._new_load()
        background = self._world.background
        try:
            background.run(load.start())
            self._await_service(load, time.monotonic())
            for kind in kinds:
                self._run_fault(load, kind)
            self._settle(load)
        finally:
            background.run(load.abandon())
        counts = load.counts()
        self.counts = Counts(*(map(sum, zip(self.counts, counts, strict=True))))
        self.balances_count += load.balances_count
        self._say(self.summary())

    def _new_load(self) -> Load:
        seed = f"{self.seed}/{self._rounds}"
        portfolios = []
        for _ in range(TENANTS_A_ROUND):
            tenant_id = self._world.new_tenant()
            token = self._issue_token(tenant_id, expires_in=24 * 3600)
            portfolios.append(Portfolio(tenant_id, token, seed))
        world = self._world
        return Load(world.port, portfolios, seed, lambda: world.excuse)

    def _run_fault(self, load: Load, kind: Kind) -> None:
        for _ in range(TRIES_MAX):
            self._world.let_pass(self._draw.uniform(0, CALM_SECONDS_MAX))
            in_flight, began = load.in_flight - load.sent_count, time.monotonic()
            try:
                kind.fault(self._world, self._draw)
            except NotHappened:
                self._await_service(load, time.monotonic())
                continue
            ended = time.monotonic()
            in_flight += load.sent_count
            self._history.append(
                f"{began - self._started_at:8.2f} s  {kind.name}, {ended - began:.2f} s,"
                f" {in_flight} in flight"
            )
            served = self._await_service(load, ended)
            verdict = self._judge_held(load)
            self.rows.append(
                Row(kind.name, 1, in_flight, len(verdict.lost), len(verdict.doubled), *served)
            )
            self._demand(verdict.is_sound, f"after {kind.name}: {verdict}")
            return
        self._not_happened += 1

    def _await_service(self, load: Load, ended: float) -> Served:
        """Until every client is served again. Raises Broken."""
        world = self._world
        everybody = len(load.clients)
        world.wait_until(lambda: load.served_since(ended) > 0, OUTAGE_SECONDS_MAX)
        first = time.monotonic() - ended
        world.wait_until(lambda: load.served_since(ended) == everybody, OUTAGE_SECONDS_MAX - first)
        outage = time.monotonic() - ended
        served = load.served_since(ended)
        self._demand(
            served == everybody,
            f"{outage:.1f} s after it {served} of {everybody} were served {load.failures()}",
        )
        return Served(first, outage)

    def _judge_held(self, load: Load) -> Verdict:
        """Nobody begins anything meanwhile: the judge would share the cores with them, and later
        verdicts would be on longer books. Verifying beside a load has tests of its own."""
        self._world.background.call(load.hold)
        try:
            return self._judge(load)
        finally:
            self._world.background.call(load.release)

    def _judge(self, load: Load, *, is_final: bool = False) -> Verdict:
        world, verdict = self._world, Verdict()
        for portfolio in load.portfolios:
            claims = world.background.call(portfolio.record.claims)
            found = judge(world.database_url, portfolio.tenant_id, claims, is_final=is_final)
            verdict = verdict.joined(found)
            if is_final:
                settled = fingerprint(world.database_url, portfolio.tenant_id)
                self._settled[portfolio.tenant_id] = settled
        contradictions = world.background.call(load.contradictions)
        return verdict._replace(altered=verdict.altered + tuple(contradictions))

    def _settle(self, load: Load) -> None:
        """Let every client learn what became of its request, and ask for some once more."""
        world = self._world
        load.stop()
        done = world.wait_until(load.is_finished, FINISH_SECONDS_MAX)
        self._demand(done, f"clients still wait after {FINISH_SECONDS_MAX} s")
        world.background.run(load.finish())
        world.background.run(load.replay(self._draw))
        verdict = self._judge(load, is_final=True)
        self._demand(verdict.is_sound, f"at the end of round {self._rounds}: {verdict}")

    def _demand(self, holds: bool, what: str) -> None:
        if not holds:
            history = "\n".join(self._history)
            raise Broken(
                f"seed {self.seed}: {what}\n\nThe last faults:\n{history}\n\n"
                f"The server's log:\n{self._world.log_tail()}"
            )
