"""The scenarios: which tenants there are, who sends what, and how often.

A kind of user draws what to do next from a shuffled deck that all of its users share, so every 100
requests hold the mix exactly, also in a short run.
"""

import random
from collections.abc import Mapping
from typing import NamedTuple

REQUESTS_PER_USER_SECOND = 5
"""Well below what one connection could do, so that a slow answer does not lower the rate at once.
"""
USERS_DEFAULT = 60
"""60 users at 5 requests a second offer 300 a second, for which locust takes about a tenth of a
core, checks included. It is Python on cores that it shares with the server: beyond about 1,000 a
second its own queueing shows in the times. How much the server can take is measured with wrk,
latency at higher rates with open_loop."""
ACCRUAL_SECONDS = 5
PRINCIPAL_MINOR = 100_000_000
HOT_LOAN_PRINCIPAL_MINOR = 10**15
"""More than any run can pay off."""


class Role(NamedTuple):
    """A kind of user: whose tenant, how many of all users, and of 100 requests how many of what."""

    name: str
    tenant: str
    share: int
    deck: Mapping[str, int]


class Scenario(NamedTuple):
    summary: str
    loans: int
    """Opened for each tenant before the run."""
    principal_minor: int
    roles: tuple[Role, ...]
    has_accruals: bool = False

    @property
    def tenants(self) -> tuple[str, ...]:
        return tuple(role.tenant for role in self.roles)


MIXED_DECK = {
    "payment": 70,
    "balance": 20,
    "history": 5,
    "disbursement": 2,
    "more_principal": 1,
    "reversal": 1,
    "replay": 1,
}
TENANT_DECK = {"payment": 80, "balance": 20}

SCENARIOS: Mapping[str, Scenario] = {
    "payments": Scenario(
        "payments on 500 loans",
        500,
        PRINCIPAL_MINOR,
        (Role("Payer", "tenant", 1, {"payment": 100}),),
    ),
    "mixed": Scenario(
        "payments 70 %, balances 20 %, history pages 5 %, disbursements 3 %, reversals 1 %,"
        f" replays 1 %; besides, an accrual batch every {ACCRUAL_SECONDS} s",
        500,
        PRINCIPAL_MINOR,
        (Role("Clerk", "tenant", 1, MIXED_DECK),),
        has_accruals=True,
    ),
    "hot_loan": Scenario(
        "every payment on one loan",
        1,
        HOT_LOAN_PRINCIPAL_MINOR,
        (Role("Payer", "tenant", 1, {"payment": 100}),),
    ),
    "two_tenants": Scenario(
        "a quiet tenant beside one with five times its load; payments 80 %, balances 20 %;"
        " the objectives hold for each",
        300,
        PRINCIPAL_MINOR,
        (Role("QuietClerk", "quiet", 1, TENANT_DECK), Role("BusyClerk", "busy", 5, TENANT_DECK)),
    ),
}


class Pace:
    """When one user is to send: at a constant throughput, from a moment of its own on.

    Locust's own constant_throughput counts from a user's creation, whatever it waits at first: all
    would send at the same moments, five bursts a second. What was late is not caught up with.
    """

    def __init__(self, interval_seconds: float, first_at: float) -> None:
        self._interval_seconds = interval_seconds
        self._due_at = first_at

    def wait_seconds(self, now: float) -> float:
        """From the end of one request to the next."""
        self._due_at = max(self._due_at + self._interval_seconds, now)
        return self._due_at - now


class Deck:
    """Cards in random order, shuffled anew when all have been drawn."""

    def __init__(self, counts: Mapping[str, int], seed: int) -> None:
        self._cards = [name for name, count in counts.items() for _ in range(count)]
        self._random = random.Random(seed)
        self._left: list[str] = []

    def draw(self) -> str:
        if not self._left:
            self._left = self._cards.copy()
            self._random.shuffle(self._left)
        return self._left.pop()
