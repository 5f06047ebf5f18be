"""Posts commands in process, through the ledger's real path, for measurements that need a history.

It is a client of hpts.ledger as a worker's HTTP layer is: keys, digests, outcomes; no shortcut.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from typing import TypeVar

from bench.report.programs import MeasurementFailed
from hpts.domain.accrual import Accrual, AccruedLoan
from hpts.domain.disbursement import Disbursement
from hpts.domain.payment import Payment
from hpts.ledger import Ledger
from hpts.posting import Posted, Posting, Receipt, Unavailable

POSTERS = 4
"""Chunks under way at once: one is in the database while the others gather, so batches are full."""
CHUNK = 512
RETRY_SECONDS = 0.2
RETRIES_MAX = 100

Command = Accrual | Disbursement | Payment
Money = TypeVar("Money", Disbursement, Payment)


def identifier(*parts: object) -> bytes:
    """16 bytes that follow from the parts, so that any process finds the same loans."""
    return hashlib.sha256(repr(parts).encode()).digest()[:16]


def disbursement(loan_id: bytes, amount_minor: int, day: int) -> Disbursement:
    """Opens a loan in USD; the day counts from 2000-01-01."""
    return _of_loan(Disbursement, loan_id, amount_minor, day)


def payment(loan_id: bytes, amount_minor: int, day: int) -> Payment:
    """A payment on such a loan."""
    return _of_loan(Payment, loan_id, amount_minor, day)


def _of_loan(kind: type[Money], loan_id: bytes, amount_minor: int, day: int) -> Money:
    return kind(
        loan_id=loan_id,
        borrower_id=identifier("borrower", loan_id),
        amount_minor=amount_minor,
        currency=b"USD",
        effective_day=day,
        details=b'{"method":"ach"}',
    )


def accrual(loan_ids: Iterable[bytes], interest_minor: int, day: int) -> Accrual:
    """A day's interest of such loans, one entry."""
    loans = tuple(AccruedLoan(loan_id, 1_000_000, interest_minor) for loan_id in loan_ids)
    return Accrual(effective_day=day, loans=loans, details=b"{}")


async def post_all(
    ledger: Ledger, tenant_id: uuid.UUID, commands: Iterable[Command], *, posters: int = POSTERS
) -> int:
    """Post every command under a key of its own; how many. Raises MeasurementFailed.

    With one poster they are posted in order.
    """
    chunks = _chunks(commands)
    return sum(
        await asyncio.gather(
            *(_post_chunks(ledger, tenant_id.bytes, chunks) for _ in range(posters))
        )
    )


def _chunks(commands: Iterable[Command]) -> Iterator[list[Command]]:
    chunk: list[Command] = []
    for command in commands:
        chunk.append(command)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _post_chunks(ledger: Ledger, tenant: bytes, chunks: Iterator[list[Command]]) -> int:
    count = 0
    for chunk in chunks:  # shared by all posters
        await asyncio.gather(*(_post(ledger, tenant, command) for command in chunk))
        count += len(chunk)
    return count


async def _post(ledger: Ledger, tenant: bytes, command: Command) -> None:
    unique = uuid.uuid4()
    key = f"preload:{unique.hex}".encode()
    for _ in range(RETRIES_MAX):
        posting = Posting(
            command,
            idempotency_key=key,
            request_digest=unique.bytes * 2,
            actor=b"report",
            render=_render,
        )
        outcome = await ledger.post(tenant, posting)
        if isinstance(outcome, Posted):
            return
        if not isinstance(outcome, Unavailable):
            break
        await asyncio.sleep(RETRY_SECONDS)  # a checkpoint may hold the database up
    raise MeasurementFailed(f"a posting was not made: {outcome}")


def _render(receipt: Receipt) -> bytes:
    """As long as the reply to a payment over HTTP, for it is stored with the entry."""
    fees, interest, principal, suspense = (*receipt.result, 0, 0, 0, 0)[:4]
    return (
        f'{{"payment_event_id":"{uuid.UUID(bytes=receipt.event_id)}",'
        f'"journal_entry_id":"{uuid.UUID(bytes=receipt.journal_entry_id)}",'
        f'"allocation":{{"fees_minor":"{fees}","interest_minor":"{interest}",'
        f'"principal_minor":"{principal}","suspense_minor":"{suspense}"}},'
        f'"posted_at":"{receipt.posted_at}"}}'
    ).encode()
