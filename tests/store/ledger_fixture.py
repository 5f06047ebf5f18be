"""Books of one fresh tenant, posted through the real path, and the means to tamper with them."""

import asyncio
import datetime
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from hpts.domain.accrual import Accrual, AccruedLoan
from hpts.domain.audit import UNKNOWN_ORIGIN, Origin
from hpts.domain.blocks import principals_digest
from hpts.domain.disbursement import Disbursement
from hpts.domain.entries import day_of
from hpts.domain.payment import Payment
from hpts.domain.reversal import Reversal
from hpts.ledger import Ledger
from hpts.posting import Command, Posted, Posting, Receipt
from hpts.store.tenants import add_tenant

APPEND_ONLY = (
    "journal_entries",
    "journal_lines",
    "entry_loans",
    "ledger_blocks",
    "block_tiles",
    "audit_events",
    "admin_requests",
    "period_records",
    "moved_accruals",
    "bank_accounts",
    "bank_account_identifiers",
    "bank_statements",
    "bank_items",
    "bank_matches",
    "bank_match_items",
    "bank_match_undos",
)


Post = Callable[..., Awaitable[list[uuid.UUID]]]


def today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def days_ago(count: int) -> datetime.date:
    return today() - datetime.timedelta(days=count)


class Books:
    """A tenant's ledger. Amounts are minor units; a loan's borrower is derived from its id."""

    def __init__(self, database_url: str, tenant_id: uuid.UUID | None = None) -> None:
        self.database_url = database_url
        self.tenant_id = tenant_id or add_tenant(database_url, "Books")

    def post(self, *commands: Command) -> list[uuid.UUID]:
        """Post the commands as one batch (accruals and reversals go alone); their entries."""
        return asyncio.run(self._post(commands))

    def post_each(self, *commands: Command) -> list[uuid.UUID]:
        """Post each command as a batch, and so a block, of its own; their entries."""
        return asyncio.run(self._post(*((command,) for command in commands)))

    async def _post(self, *batches: tuple[Command, ...]) -> list[uuid.UUID]:
        async with self.open_for_posting() as post:
            return [entry for batch in batches for entry in await post(*batch)]

    @asynccontextmanager
    async def open_for_posting(self) -> AsyncIterator[Post]:
        """What posts as `post` does, again and again on the same connections: to open them and
        prepare their statements takes ten times what a batch takes."""
        async with open_ledger(self.database_url) as ledger:

            async def post(*commands: Command) -> list[uuid.UUID]:
                outcomes = await asyncio.gather(
                    *(ledger.post(self.tenant_id.bytes, posting_of(one)) for one in commands)
                )
                entries = []
                for outcome in outcomes:
                    assert isinstance(outcome, Posted), outcome
                    entries.append(uuid.UUID(bytes=outcome.journal_entry_id))
                return entries

            yield post

    def fetch(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query as superuser; its first %s is the tenant."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode(), (self.tenant_id, *parameters)).fetchall()

    def tamper(self, *statements: str, **parameters: Any) -> None:
        """Run statements as superuser past every trigger; %(tenant)s is the tenant."""
        values = {"tenant": self.tenant_id, **parameters}
        with psycopg.connect(self.database_url) as connection:
            for table in APPEND_ONLY:
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
            for statement in statements:
                changed = connection.execute(statement.encode(), values)
                assert changed.rowcount > 0, f"changed nothing: {statement}"
            for table in APPEND_ONLY:
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())


def disbursement(
    loan_id: uuid.UUID, amount_minor: int, *, currency: str = "USD", on: datetime.date | None = None
) -> Disbursement:
    return Disbursement(
        loan_id=loan_id.bytes,
        borrower_id=_borrower(loan_id),
        amount_minor=amount_minor,
        currency=currency.encode(),
        effective_day=day_of(on or today()),
        details=b'{"borrower_id":"%s","destination_ref":"acct \\u0000 \xc3\xa9"}'
        % str(uuid.UUID(bytes=_borrower(loan_id))).encode(),
    )


def payment(
    loan_id: uuid.UUID, amount_minor: int, *, currency: str = "USD", on: datetime.date | None = None
) -> Payment:
    return Payment(
        loan_id=loan_id.bytes,
        borrower_id=_borrower(loan_id),
        amount_minor=amount_minor,
        currency=currency.encode(),
        effective_day=day_of(on or today()),
        details=b'{"external_ref":"proc 1"}',
    )


def accrual(loans: dict[uuid.UUID, int], *, on: datetime.date | None = None) -> Accrual:
    """Interest by loan; each computed on a principal of 1,000."""
    digest = principals_digest((loan_id.bytes, 1_000) for loan_id, minor in loans.items() if minor)
    return Accrual(
        effective_day=day_of(on or today()),
        loans=tuple(AccruedLoan(loan_id.bytes, 1_000, minor) for loan_id, minor in loans.items()),
        details=b'{"principals_digest":"%s"}' % digest.encode(),
    )


def reversal(entry_id: uuid.UUID, *, on: datetime.date | None = None) -> Reversal:
    return Reversal(
        reverses_entry_id=entry_id.bytes, effective_day=day_of(on or today()), details=b"{}"
    )


def _borrower(loan_id: uuid.UUID) -> bytes:
    return uuid.uuid5(loan_id, "borrower").bytes


@asynccontextmanager
async def open_ledger(database_url: str) -> AsyncIterator[Ledger]:
    """A ledger as one worker has it, closed at the end."""
    ledger = Ledger(database_url)
    try:
        yield ledger
    finally:
        await ledger.close()


async def until_blocked(holder: psycopg.Connection[Any]) -> int:
    """The process id of a backend that waits for a lock of `holder`, as soon as there is one."""
    url = f"{holder.info.dsn} dbname={holder.info.dbname}"
    with psycopg.connect(url, autocommit=True) as watcher:  # in a transaction it sees one moment
        for _ in range(5_000):
            row = watcher.execute(
                "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))",
                (holder.info.backend_pid,),
            ).fetchone()
            if row:
                return int(row[0])
            await asyncio.sleep(0.002)
    raise AssertionError("nobody came to wait for the lock")


def render_identifier(receipt: Receipt) -> bytes:
    return b'{"journal_entry_id":"' + receipt.journal_entry_id.hex().encode() + b'"}'


def render_result(receipt: Receipt) -> bytes:
    """A reply without identifiers or times, to compare two runs by."""
    return repr(receipt.result).encode()


def posting_of(
    command: Command,
    *,
    key: str | None = None,
    digest: bytes | None = None,
    render: Callable[[Receipt], bytes] = render_identifier,
    origin: Origin = UNKNOWN_ORIGIN,
) -> Posting:
    """A posting under a fresh key, or under `key`."""
    made = uuid.uuid4()
    return Posting(
        command,
        idempotency_key=(key or f"test:{made}").encode(),
        request_digest=digest or made.bytes * 2,
        actor="clerk-é".encode(),
        render=render,
        origin=origin,
    )
