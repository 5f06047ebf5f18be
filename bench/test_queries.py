"""Reads of one worker from a real PostgreSQL: balances, journal pages, pages of statements.

Through Reads, so with a round trip each and without HTTP or rendering. The books are one loan with
a long history beside many short ones; each answer is checked against what was posted.
"""

import datetime
import uuid
from collections.abc import Coroutine
from typing import Any, NamedTuple

import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.conftest import Worker
from hpts.accounting.account_statement import (
    AccountStatementQuery,
    Reached,
    StatementPage,
    open_account_statement,
)
from hpts.accounting.loan_statement import (
    LoanPage,
    LoanReached,
    LoanStatementQuery,
    open_loan_statement,
)
from hpts.accounting.portions import FIRST_ENTRY
from hpts.domain.entries import EPOCH, MICROSECONDS_PER_DAY, date_of, day_at
from hpts.domain.instants import Instant
from hpts.store.accounting_reads import AccountKey
from hpts.store.known_fold import fold_all
from hpts.store.known_reads import KnownReads
from hpts.store.reads import EntryRow, LineRow
from hpts.store.tenants import add_tenant
from tests.store.ledger_fixture import days_ago, disbursement, payment

ENTRIES, ENTRIES_SMALL = 5_000, 12
OTHER_LOANS, OTHER_LOANS_SMALL = 1_000, 2
DAYS = 400
"""The history goes over whole months, which totals are kept by, and over the days within one."""
PAST_DAY = days_ago(DAYS // 2)
LENT_MINOR = 1_000_000
CASH, PRINCIPAL = b"1000", 1100
PAGE_SIZE = 50
QUERIES = 300
WARM_UPS = 20

KNOWN_ENTRIES = """
    WITH named AS (
        SELECT id, number,
            timestamptz '2000-01-01 00:00:00+00' + at * interval '1 microsecond' AS at
        FROM unnest(%(ids)s::uuid[], %(at)s::bigint[]) WITH ORDINALITY AS named (id, at, number)
    ), entries AS (
        INSERT INTO journal_entries
        SELECT %(tenant)s, id, 'payment_received', (at AT TIME ZONE 'UTC')::date, at, id, NULL,
            NULL, 'bench', 'bench:' || number, sha256(uuid_send(id)), '{}', '',
            sha256(uuid_send(id))
        FROM named
    ), lines AS (
        INSERT INTO journal_lines
        SELECT %(tenant)s, id, 1, NULL, sequence, account, direction, 'S', 'USD'
        FROM named, (VALUES (1, 1000, 'D'), (2, 2100, 'C')) AS line (sequence, account, direction)
    ), totals AS (
        INSERT INTO account_totals VALUES (%(tenant)s, 1000, 'USD', 'S', 0, cardinality(%(ids)s), 0)
    ), days AS (
        INSERT INTO account_day_totals
            (tenant_id, account_code, currency, layer, effective_at, stripe, debit_minor,
            credit_minor)
        SELECT %(tenant)s, 1000, 'USD', 'S', (at AT TIME ZONE 'UTC')::date, 0, 1, 0 FROM named
    ), head AS (
        UPDATE ledger_heads SET block_number = cardinality(%(ids)s) WHERE tenant_id = %(tenant)s
    )
    INSERT INTO ledger_blocks SELECT %(tenant)s, number, '', '', id, 1, '' FROM named
"""

pytestmark = pytest.mark.benchmark(group="queries")


class History(NamedTuple):
    """What was posted to one loan: a disbursement, then payments of 1 minor unit."""

    loan_id: uuid.UUID
    entry_ids: list[uuid.UUID]
    days: list[datetime.date]

    def paid_minor(self, until: datetime.date) -> int:
        return sum(day <= until for day in self.days[1:])


@pytest.fixture(scope="module")
def history(worker: Worker, is_measured: bool) -> History:
    entries = ENTRIES if is_measured else ENTRIES_SMALL
    others = OTHER_LOANS if is_measured else OTHER_LOANS_SMALL
    loan_id = uuid.uuid4()
    days = [days_ago(DAYS - at * DAYS // entries) for at in range(entries)]
    worker.post_all([disbursement(uuid.uuid4(), LENT_MINOR) for _ in range(others)])
    (opened,) = worker.post_all([disbursement(loan_id, LENT_MINOR, on=days[0])])
    paid = worker.post_all([payment(loan_id, 1, on=day) for day in days[1:]])
    if is_measured:
        worker.settle()
    return History(loan_id, [opened, *paid], days)


class KnownHistory(NamedTuple):
    """A payment of 1 minor unit a day for ten years, written as it was posted then."""

    posted_at: list[int]
    tenant_id: bytes
    reads: KnownReads

    def read(self, _: bytes, known_at: Instant) -> Coroutine[Any, Any, Any]:
        return self.reads.account(
            self.tenant_id, CASH, known_at, currency=b"USD", layer=b"S", as_of_date=None
        )


@pytest.fixture(scope="module")
def known_history(worker: Worker, database_url: str, is_measured: bool) -> KnownHistory:
    days = 3_652 if is_measured else 40
    tenant_id = add_tenant(database_url, "Ten years")
    now = datetime.datetime.now(datetime.UTC) - EPOCH
    today = now // datetime.timedelta(microseconds=1)
    posted_at = [today - (days - day) * MICROSECONDS_PER_DAY for day in range(days)]
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            KNOWN_ENTRIES.encode(),
            {
                "tenant": tenant_id,
                "at": posted_at,
                "ids": [uuid.UUID(bytes=Instant(at - 1).before_entry_id) for at in posted_at],
            },
        )
    worker.run(fold_all(database_url, tenant_id.bytes))
    if is_measured:
        worker.settle()
    return KnownHistory(posted_at, tenant_id.bytes, worker.ledger.known)


def measure(benchmark: BenchmarkFixture, worker: Worker, query: Any, *parameters: Any) -> Any:
    """The answer of a query of Reads, which is asked many times over."""

    def ask() -> Any:
        asked: Coroutine[Any, Any, Any] = query(worker.tenant_id, *parameters)
        return worker.run(asked)

    return benchmark.pedantic(ask, rounds=QUERIES, warmup_rounds=WARM_UPS)


def test_a_loan_balance_now(benchmark: BenchmarkFixture, worker: Worker, history: History) -> None:
    loan = measure(benchmark, worker, worker.ledger.reads.loan_now, history.loan_id.bytes)
    assert loan.principal_minor == LENT_MINOR - len(history.entry_ids) + 1


def test_a_loan_balance_on_a_past_day(
    benchmark: BenchmarkFixture, worker: Worker, history: History
) -> None:
    day = PAST_DAY.isoformat()
    query = worker.ledger.reads.loan_as_of
    _, owed, _ = measure(benchmark, worker, query, history.loan_id.bytes, day)
    assert owed[PRINCIPAL] == LENT_MINOR - history.paid_minor(PAST_DAY)


@pytest.mark.parametrize("until", [None, PAST_DAY], ids=["now", "on a past day"])
def test_an_account_balance(
    benchmark: BenchmarkFixture, worker: Worker, history: History, until: datetime.date | None
) -> None:
    as_of = until and until.isoformat().encode()
    account = measure(benchmark, worker, worker.ledger.reads.account, CASH, b"USD", b"S", as_of)
    assert account.debit_minor == history.paid_minor(until or days_ago(0))


@pytest.mark.parametrize("place", ["first", "deep"])
def test_a_page_of_a_loan(
    benchmark: BenchmarkFixture, worker: Worker, history: History, place: str
) -> None:
    """A page as it is served: one entry more than it shows, and the lines of those shown."""
    reads, loan_id = worker.ledger.reads, history.loan_id.bytes
    count = len(history.entry_ids)
    end = count if place == "first" else max(count // 20, 4)
    before = None if place == "first" else history.entry_ids[end].bytes

    async def read_page(tenant_id: bytes) -> tuple[list[EntryRow], list[LineRow]]:
        entries = await reads.loan_entries(
            tenant_id,
            loan_id,
            before=before,
            count=PAGE_SIZE + 1,
            from_date=None,
            to_date=None,
            event_type=None,
        )
        assert entries is not None
        shown = [entry.journal_entry_id for entry in entries[:PAGE_SIZE]]
        return entries, await reads.lines(tenant_id, shown)

    entries, lines = measure(benchmark, worker, read_page)
    expected = [str(entry_id) for entry_id in reversed(history.entry_ids[:end])]
    assert [entry.journal_entry_id for entry in entries] == expected[: PAGE_SIZE + 1]
    assert sorted(line.journal_entry_id for line in lines) == sorted(2 * expected[:PAGE_SIZE])


@pytest.mark.parametrize("place", ["first", "deep"])
def test_a_page_of_an_account_statement(
    benchmark: BenchmarkFixture, worker: Worker, known_history: KnownHistory, place: str
) -> None:
    """Of ten years with a line a day, which takes the most queries a page."""
    count = len(known_history.posted_at)
    at = 0 if place == "first" else count * 19 // 20
    query = AccountStatementQuery(AccountKey(int(CASH), "USD", "S"), None, None)

    async def read_page(_: bytes) -> StatementPage:
        reads = worker.ledger.accounting
        statement = await open_account_statement(reads, known_history.tenant_id, query)
        assert statement is not None
        start = statement.start
        if at:
            day = date_of(day_at(known_history.posted_at[at])).isoformat()
            start = Reached(day, FIRST_ENTRY, 0, at, start.newest_entry_id)
        return await statement.read_page(PAGE_SIZE, start)

    page = measure(benchmark, worker, read_page)
    assert (page.opening_minor, page.closing_minor) == (at, min(at + PAGE_SIZE, count))


@pytest.mark.parametrize("place", ["first", "deep"])
def test_a_page_of_a_loan_statement(
    benchmark: BenchmarkFixture, worker: Worker, history: History, place: str
) -> None:
    """Of a loan with more entries than ten years of daily ones; each page sums up all before it."""
    count = len(history.entry_ids)
    at = 0 if place == "first" else count * 19 // 20
    query = LoanStatementQuery(str(history.loan_id), None, None)

    async def read_page(tenant_id: bytes) -> LoanPage:
        statement = await open_loan_statement(worker.ledger.accounting, tenant_id, query)
        assert statement is not None
        start = statement.start
        if at:
            day, last = history.days[at - 1].isoformat(), str(history.entry_ids[at - 1])
            start = LoanReached(day, last, start.newest_entry_id)
        return await statement.read_page(PAGE_SIZE, start)

    page = measure(benchmark, worker, read_page)
    assert len(page.lines) == min(PAGE_SIZE, count - at)
    paid = max(at + len(page.lines) - 1, 0)
    assert page.closing.principal_outstanding_minor == str(LENT_MINOR - paid)


@pytest.mark.parametrize("known", ["recently", "midway", "long ago"])
def test_an_account_balance_as_it_was_known(
    benchmark: BenchmarkFixture, worker: Worker, known_history: KnownHistory, known: str
) -> None:
    """Ten years in which each day's payments were posted on their day."""
    share = {"recently": 0.999, "midway": 0.5, "long ago": 0.01}[known]
    at = int(len(known_history.posted_at) * share)
    known_at = Instant(known_history.posted_at[at])
    account = measure(benchmark, worker, known_history.read, known_at)
    assert account.debit_minor == at + 1
