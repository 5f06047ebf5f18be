"""What was known when: exact for any instant and day, however far the totals by posting are."""

import asyncio
import datetime
import random
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg
import pytest

from hpts.domain.instants import Instant, parse_instant
from hpts.ledger import Ledger
from hpts.posting import Posted
from hpts.store.known_fold import fold_all, fold_some

from .ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    posting_of,
    reversal,
)

CURRENCIES = ("USD", "EUR", "JPY")
LINES = (
    "SELECT entry.journal_entry_id, entry.effective_at,"
    " ((extract(epoch FROM entry.posted_at) - 946684800) * 1000000)::bigint,"
    " line.account_code, line.currency, line.layer::text, line.direction::text, line.amount_minor,"
    " line.loan_id"
    " FROM journal_entries AS entry JOIN journal_lines AS line USING (tenant_id, journal_entry_id)"
    " WHERE tenant_id = %s"
)
LONG_AGO = Instant(0)
TO_COME = parse_instant("9999-12-31T23:59:59Z") or LONG_AGO


class Line(NamedTuple):
    entry_id: uuid.UUID
    effective_at: datetime.date
    posted_at: int
    account_code: int
    currency: str
    layer: str
    direction: str
    amount_minor: int
    loan_id: uuid.UUID | None


def lines_of(books: Books) -> list[Line]:
    return [Line(*row) for row in books.fetch(LINES)]


def random_history(books: Books, draw: random.Random) -> list[uuid.UUID]:
    """Several workers at once, several currencies, backdated days, accruals and reversals."""
    loans = {uuid.UUID(int=draw.getrandbits(128)): currency for currency in 3 * CURRENCIES}

    def day() -> datetime.date:
        return days_ago(draw.choice((0, 0, 1, draw.randrange(100))))

    async def work(ledger: Ledger, share: Sequence[uuid.UUID]) -> None:
        for loan_id in share:
            currency = loans[loan_id]
            tenant_id = books.tenant_id.bytes
            first = disbursement(loan_id, 10_000, currency=currency, on=day())
            await ledger.post(tenant_id, posting_of(first))
            await ledger.post(tenant_id, posting_of(accrual({loan_id: 9}, on=day())))
            paid = [
                posting_of(payment(loan_id, draw.randrange(1, 900), currency=currency, on=day()))
                for _ in range(4)
            ]
            outcomes = await asyncio.gather(*(ledger.post(tenant_id, one) for one in paid))
            last = outcomes[-1]
            assert isinstance(last, Posted)
            undo = reversal(uuid.UUID(bytes=last.journal_entry_id), on=day())
            await ledger.post(tenant_id, posting_of(undo))

    async def scenario() -> None:
        async with open_ledger(books.database_url) as one, open_ledger(books.database_url) as other:
            shares = [list(loans)[at::3] for at in range(3)]
            await asyncio.gather(*(work((one, other)[at % 2], shares[at]) for at in range(3)))

    asyncio.run(scenario())
    return list(loans)


def spread(books: Books, draw: random.Random) -> None:
    """Move what was posted over three years, in its order, as if it had been posted then: batches
    keep one instant, and their blocks and lines follow them."""
    blocks = books.fetch(
        "SELECT block_number, first_entry_id, entry_count FROM ledger_blocks WHERE tenant_id = %s"
        " ORDER BY first_entry_id"
    )
    now = datetime.datetime.now(datetime.UTC)
    instants = sorted(
        now - datetime.timedelta(seconds=draw.randrange(3 * 365 * 86_400)) for _ in blocks
    )
    for at in range(0, len(instants) - 1, 3):  # some on one day, some in one millisecond
        instants[at + 1] = instants[at] + datetime.timedelta(
            microseconds=draw.choice((1, 999, 10**9))
        )
    instants.sort()
    with psycopg.connect(books.database_url) as connection:
        for table in ("journal_entries", "journal_lines", "entry_loans", "ledger_blocks"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        for (number, first, count), instant in zip(blocks, instants, strict=True):
            posted_at = (instant - datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)) // (
                datetime.timedelta(microseconds=1)
            )
            moved = (
                int.from_bytes(Instant(posted_at - 1).before_entry_id, "big")
                | draw.getrandbits(46) << 16
            )
            for place in range(count):
                change = (
                    uuid.UUID(int=moved + place),
                    books.tenant_id,
                    uuid.UUID(int=first.int + place),
                )
                for table in ("journal_entries", "journal_lines", "entry_loans"):
                    connection.execute(
                        f"UPDATE {table} SET journal_entry_id = %s"
                        " WHERE tenant_id = %s AND journal_entry_id = %s".encode(),
                        change,
                    )
                connection.execute(
                    b"UPDATE journal_entries SET posted_at = %s"
                    b" WHERE tenant_id = %s AND journal_entry_id = %s",
                    (instant, books.tenant_id, change[0]),
                )
            connection.execute(
                b"UPDATE ledger_blocks SET first_entry_id = %s"
                b" WHERE tenant_id = %s AND block_number = %s",
                (uuid.UUID(int=moved), books.tenant_id, number),
            )
        for table in ("journal_entries", "journal_lines", "entry_loans", "ledger_blocks"):
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())


def instants_of(lines: list[Line], draw: random.Random) -> Iterator[Instant]:
    """Right at postings, a microsecond beside them, between them, before and after all."""
    yield LONG_AGO
    yield TO_COME
    for line in draw.sample(lines, 12):
        for beside in (-1, 0, 1):
            yield Instant(line.posted_at + beside)
        midnight = line.posted_at // 86_400_000_000 * 86_400_000_000
        yield Instant(midnight + draw.choice((-1, 0)))
    first, last = min(line.posted_at for line in lines), max(line.posted_at for line in lines)
    for _ in range(8):
        yield Instant(draw.randint(first, last))


def known(lines: list[Line], known_at: Instant, as_of: datetime.date | None) -> list[Line]:
    return [
        line
        for line in lines
        if line.posted_at <= known_at.microseconds and (as_of is None or line.effective_at <= as_of)
    ]


def side(lines: list[Line], direction: str) -> int:
    return sum(line.amount_minor for line in lines if line.direction == direction)


async def compare(books: Books, ledger: Ledger, lines: list[Line], draw: random.Random) -> None:
    """Accounts, trial balances and loans against the lines themselves."""
    days = [
        None,
        days_ago(-1),
        days_ago(0),
        days_ago(200),
        *(line.effective_at for line in draw.sample(lines, 3)),
    ]
    tenant_id = books.tenant_id.bytes
    for known_at in instants_of(lines, draw):
        as_of = draw.choice(days)
        day = None if as_of is None else as_of.isoformat()
        counted = known(lines, known_at, as_of)
        _, sums = await ledger.accounting.trial_balance(
            tenant_id, layer="S", currency=None, as_of_date=day, known_at=known_at
        )
        assert {(one.account_code, one.currency) for one in sums} == {
            (line.account_code, line.currency) for line in lines
        }
        for one in sums:
            own = [
                line
                for line in counted
                if (line.account_code, line.currency) == (one.account_code, one.currency)
            ]
            shown = (one.debit_minor, one.credit_minor)
            assert shown == (side(own, "D"), side(own, "C")), (one, str(known_at), as_of)
        one = draw.choice(sums)
        account = await ledger.known.account(
            tenant_id, b"%d" % one.account_code, known_at,
            currency=one.currency.encode(), layer=b"S", as_of_date=day,
        )  # fmt: skip
        assert account is not None
        assert (account.debit_minor, account.credit_minor) == (one.debit_minor, one.credit_minor)
        loan_id = draw.choice([line.loan_id for line in lines if line.loan_id])
        _, owed, newest = await ledger.reads.loan_as_of(tenant_id, loan_id.bytes, day, known_at)
        of_loan = [line for line in counted if line.loan_id == loan_id]
        for code in (1100, 1200):
            own = [line for line in of_loan if line.account_code == code]
            assert owed.get(code, 0) == side(own, "D") - side(own, "C")
        assert newest == max((line.posted_at for line in of_loan), default=None)


@pytest.mark.parametrize("slice_lines", [1, 7, 40, 10_000])
def test_any_instant_and_day_is_answered_as_the_lines_have_it(
    database_url: str, seed: int, slice_lines: int
) -> None:
    """Nothing folded, some, all, and new postings after that; slices of one block and of all."""
    draw = random.Random(seed * 100 + slice_lines)
    books = Books(database_url)
    random_history(books, draw)
    spread(books, draw)

    async def scenario() -> None:
        tenant_id = books.tenant_id.bytes
        async with open_ledger(database_url) as ledger:
            await compare(books, ledger, lines_of(books), draw)
            assert await fold_some(database_url, tenant_id, slice_lines=slice_lines)
            await compare(books, ledger, lines_of(books), draw)
            while await fold_some(database_url, tenant_id, slice_lines=slice_lines):
                pass
            await compare(books, ledger, lines_of(books), draw)

    asyncio.run(scenario())
    random_history(books, draw)

    async def afterwards() -> None:
        async with open_ledger(database_url) as ledger:
            await compare(books, ledger, lines_of(books), draw)
            await fold_all(database_url, books.tenant_id.bytes)
            await compare(books, ledger, lines_of(books), draw)

    asyncio.run(afterwards())
    assert drift(books) == []


def drift(books: Books) -> list[Any]:
    """Where the three tables of totals and the lines differ, summed over all instants."""
    return books.fetch(
        "WITH wanted AS (SELECT account_code, currency, layer, debit_minor, credit_minor"
        " FROM (SELECT tenant_id, account_code, currency, layer, sum(debit_minor) AS debit_minor,"
        "  sum(credit_minor) AS credit_minor FROM account_totals GROUP BY 1, 2, 3, 4) AS total"
        " WHERE tenant_id = %s), kept AS ("
        " SELECT 'M' AS kept, account_code, currency, layer, sum(debit_minor) AS debit_minor,"
        "  sum(credit_minor) AS credit_minor FROM known_month_totals"
        "  WHERE tenant_id = %s AND kept = 'M' GROUP BY 2, 3, 4"
        " UNION ALL SELECT 'D', account_code, currency, layer, sum(debit_minor), sum(credit_minor)"
        "  FROM known_day_totals WHERE tenant_id = %s GROUP BY 2, 3, 4"
        " UNION ALL SELECT 'S', account_code, currency, layer, sum(debit_minor), sum(credit_minor)"
        "  FROM known_slice_totals WHERE tenant_id = %s GROUP BY 2, 3, 4)"
        " SELECT * FROM wanted CROSS JOIN (VALUES ('M'), ('D'), ('S')) AS kind (kept)"
        " FULL JOIN kept USING (kept, account_code, currency, layer, debit_minor, credit_minor)"
        " WHERE kept.kept IS NULL OR wanted IS NULL",
        *(books.tenant_id,) * 3,
    )


def test_workers_that_fold_at_once_fold_each_block_once(database_url: str, seed: int) -> None:
    books = Books(database_url)
    random_history(books, random.Random(seed))

    async def scenario() -> list[int]:
        return await asyncio.gather(
            *(fold_all(database_url, books.tenant_id.bytes) for _ in range(4))
        )

    folded = asyncio.run(scenario())
    ((blocks,),) = books.fetch("SELECT count(*) FROM ledger_blocks WHERE tenant_id = %s")
    asyncio.run(fold_all(database_url, books.tenant_id.bytes))
    assert sum(folded) <= blocks
    assert drift(books) == []


@pytest.mark.parametrize("bits", [15, 31])
def test_a_chain_is_folded_past_the_largest_number_of_each_type(
    database_url: str, bits: int
) -> None:
    """psycopg sends a number in the smallest type that holds it, and a sum of two may not."""
    books, loan_id = Books(database_url), uuid.uuid4()
    number = 2**bits - 3
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE ledger_heads SET block_number = %s WHERE tenant_id = %s",
            (number, books.tenant_id),
        )
        connection.execute(
            "INSERT INTO known_progress VALUES (%s, %s, %s, 0)",
            (books.tenant_id, number, uuid.UUID(int=0)),
        )
    books.post_each(disbursement(loan_id, 10), *(payment(loan_id, 1) for _ in range(4)))
    assert asyncio.run(fold_all(database_url, books.tenant_id.bytes)) == 5
    assert drift(books) == []


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2000-01-01T00:00:00Z", 0),
        ("2000-01-01t00:00:01.5z", 1_500_000),
        ("2000-01-01T01:00:00+01:00", 0),
        ("2000-01-01T01:00:00 01:00", 0),
        ("1999-12-31T23:30:00-00:45", 900_000_000),
        ("2000-01-01T00:00:00.123456789Z", 123_456),
        ("0001-01-01T00:00:00+23:59", 0),
    ],
)
def test_an_instant_is_rfc_3339(text: str, microseconds: int) -> None:
    assert parse_instant(text) == Instant(microseconds)


@pytest.mark.parametrize(
    "text",
    ["", "2000-01-01", "2000-01-01T00:00:00", "2000-01-01T00:00Z", "2000-02-30T00:00:00Z",
     "2000-01-01T24:00:00Z", "2000-01-01T00:00:00+0100", "2000-01-01T00:00:00+25:00", "now",
     "2000-01-01T00:00:00Z ", "٢٠٠٠-01-01T00:00:00Z"],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    assert parse_instant(text) is None


def test_an_instant_at_the_end_of_time_has_an_identifier() -> None:
    latest = parse_instant("9999-12-31T23:59:59.999999-23:59")
    assert latest is not None
    assert latest.before_entry_id > uuid.uuid4().bytes[:0]
    assert len(latest.before_entry_id) == len(latest.day_entry_id) == 16
