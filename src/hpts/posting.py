"""One posting on its way through the ledger: what it asks, and what can become of it.

An outcome is a value: posted (now or earlier), refused by a rule, or not possible at the moment.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from hpts.domain import limits
from hpts.domain.accrual import Accrual
from hpts.domain.audit import UNKNOWN_ORIGIN, Origin
from hpts.domain.disbursement import Disbursement
from hpts.domain.payment import Payment
from hpts.domain.rejections import Refusal
from hpts.domain.reversal import Reversal

Command = Payment | Disbursement | Accrual | Reversal
TRAVEL_ALONE = (Accrual, Reversal)
"""Commands whose size is known only when their batch is opened, or that are large."""


class Receipt(NamedTuple):
    """What a reply is rendered from. `result` is the rule's (see EntryFacts); the two days differ
    where the entry was moved out of a closed period."""

    journal_entry_id: bytes
    event_id: bytes
    posted_at: str
    result: tuple[int, ...]
    reverses_entry_id: bytes | None
    effective_day: int = 0
    requested_day: int = 0


class Posted(msgspec.Struct, frozen=True):
    """A posting that is durable: the body answered the first time, and whether this is a replay."""

    journal_entry_id: bytes
    reply: bytes
    is_replay: bool


class Unavailable(msgspec.Struct, frozen=True):
    """Nothing was posted that the same key would not replay. `code` is the problem's."""

    code: str


OVERLOADED = Unavailable("overloaded")
DATABASE_UNAVAILABLE = Unavailable("database_unavailable")
SHUTTING_DOWN = Unavailable("shutting_down")
Outcome = Posted | Refusal | Unavailable


class Posting:
    """One command on its way: what it says, where it came from, and who waits for its outcome."""

    __slots__ = (
        "actor",
        "attempted_entry_ids",
        "block_number",
        "command",
        "database_started_at",
        "deadline",
        "idempotency_key",
        "kernel_seconds",
        "may_hold_key",
        "origin",
        "outcome",
        "queued_at",
        "render",
        "request_digest",
        "traceparent",
    )

    def __init__(
        self,
        command: Command,
        *,
        idempotency_key: bytes,
        request_digest: bytes,
        actor: bytes,
        render: Callable[[Receipt], bytes],
        origin: Origin = UNKNOWN_ORIGIN,
        traceparent: str = "",
    ) -> None:
        self.command = command
        self.idempotency_key = idempotency_key
        self.request_digest = request_digest
        self.actor = actor
        self.origin = origin
        self.render = render
        self.traceparent = traceparent  # of the request, for the batch to link to
        self.attempted_entry_ids: tuple[bytes, ...] = ()
        self.block_number = 0  # once posted: of the tenant's block that holds it, or of a later one
        self.may_hold_key = False  # on a lost connection that PostgreSQL has not given up yet
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.queued_at = self.database_started_at = time.monotonic()
        self.kernel_seconds = 0.0  # of its batch, in memory between the two pipelines
        self.deadline = self.queued_at + limits.QUEUE_WAIT_MS_MAX / 1000

    def answer(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)
