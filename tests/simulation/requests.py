"""What clients of a scenario ask for, and the same as the ledger takes it."""

from dataclasses import dataclass
from hashlib import sha256

from hpts.domain.accrual import Accrual, AccruedLoan
from hpts.domain.disbursement import Disbursement
from hpts.domain.payment import Payment
from hpts.domain.reversal import Reversal
from hpts.posting import Command, Posting, Receipt

from .database import FIRST_DAY


@dataclass(frozen=True)
class Request:
    """A body and its key. Which fields count depends on the kind."""

    key: bytes
    tenant_id: bytes
    kind: str
    loan_id: bytes = b""
    borrower_id: bytes = b""
    amount: int = 0
    currency: bytes = b"USD"
    day: int = FIRST_DAY
    metadata_bytes: int = 0
    interest: tuple[tuple[bytes, int], ...] = ()
    """Of an accrual: loan and interest."""
    reverses: bytes = b""
    """Of a reversal: the entry."""

    @property
    def digest(self) -> bytes:
        """Of operation and payload; neither the key nor the tenant is part of it."""
        body = (self.kind, self.loan_id, self.borrower_id, self.amount, self.currency, self.day)
        rest = (self.metadata_bytes, self.interest, self.reverses)
        return sha256(repr((body, rest)).encode()).digest()

    @property
    def travels_alone(self) -> bool:
        return self.kind in ("accrual", "reversal")

    def command(self) -> Command:
        """What the ledger is asked."""
        if self.kind == "accrual":
            loans = tuple(AccruedLoan(loan_id, 1_000, minor) for loan_id, minor in self.interest)
            return Accrual(effective_day=self.day, loans=loans, details=b"{}")
        if self.kind == "reversal":
            return Reversal(
                reverses_entry_id=self.reverses,
                effective_day=self.day,
                details=b"{}",
                metadata_bytes=self.metadata_bytes,
            )
        kind = Payment if self.kind == "payment" else Disbursement
        return kind(
            loan_id=self.loan_id,
            borrower_id=self.borrower_id,
            amount_minor=self.amount,
            currency=self.currency,
            effective_day=self.day,
            details=b"{}",
            metadata_bytes=self.metadata_bytes,
        )


class Attempt:
    """One sending of a request to one ledger, and what is known of it."""

    def __init__(self, number: int, request: Request, ledger: int, arrived: float, wait: float):
        self.number = number
        self.request = request
        self.digest = request.digest
        self.ledger = ledger
        self.arrived = arrived
        self.deadline = arrived + wait
        self.outcome: Answer | None = None
        self.expected: tuple[Answer, float] | None = None
        self.tolerated: tuple[Answer, float] | None = None
        self.is_cancelled = False
        self.may_hold_key = False  # on a connection that was lost under it
        self.may_be_posted = False  # its COMMIT was sent, and what became of it is unknown
        self.is_doubtful = False  # a connection of its ledger was lost that may have been its own
        self.trouble: tuple[float, bool] | None = None  # when, and whether the database was away

    @property
    def lane(self) -> tuple[int, bytes, bool]:
        """Where it waits: ledger, tenant, and whether it travels alone."""
        return self.ledger, self.request.tenant_id, self.request.travels_alone

    @property
    def name(self) -> str:
        return f"#{self.number}"


Answer = tuple[object, ...]
"""("posted", entry, reply, is_replay), ("refused" or "unavailable", code), ("failed", why)."""


class Sent(Posting):
    """A posting that says when it goes to the database: under one key there may be two, of which
    one has lost its client, and the model must know which of them a batch carries.
    """

    __slots__ = ("_started_at", "attempt", "starting")

    def __init__(self, attempt: Attempt, starting: list[Attempt]) -> None:
        request = attempt.request
        super().__init__(
            request.command(),
            idempotency_key=request.key,
            request_digest=attempt.digest,
            actor=b"%d" % attempt.number,
            render=render,
        )
        self.attempt = attempt
        self.starting = starting

    @property
    def database_started_at(self) -> float:
        return self._started_at

    @database_started_at.setter
    def database_started_at(self, at: float) -> None:
        self._started_at = at
        if hasattr(self, "attempt"):
            self.starting.append(self.attempt)


def render(receipt: Receipt) -> bytes:
    """Everything a reply can show."""
    reverses = receipt.reverses_entry_id or b""
    return b"%s %s %s %s %r" % (
        receipt.journal_entry_id.hex().encode(),
        receipt.event_id.hex().encode(),
        reverses.hex().encode(),
        receipt.posted_at.encode(),
        receipt.result,
    )
