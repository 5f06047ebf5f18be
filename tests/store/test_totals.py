"""Account totals: exact, by stripe so that writers never wait for each other, within int64."""

import asyncio
import datetime
import random
import uuid
from collections import defaultdict

import psycopg
import pytest

from hpts.domain import limits
from hpts.domain.rejections import Refusal, Rejection
from hpts.ledger import Ledger
from hpts.posting import Command, Posted
from hpts.store.pool import STRIPE_LOCK_CLASS, Pool
from hpts.store.statements import WRITER_STATEMENTS
from hpts.store.verify import verify_tenant
from hpts.store.wire import Rows, Step, Wire

from .ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    reversal,
    today,
    until_blocked,
)
from .scenarios import play, post_all

INT64_MAX = 2**63 - 1
ACCOUNTS = (1000, 1100, 1200, 1300, 2000, 2100, 4000)


def test_totals_agree_with_the_lines_as_of_every_day(database_url: str, seed: int) -> None:
    draw = random.Random(seed)
    books = Books(database_url)
    loans = {uuid.uuid4(): draw.choice(("USD", "EUR")) for _ in range(8)}
    days = [days_ago(draw.randint(-1, 70)) for _ in range(6)]

    async def scenario() -> None:
        async with open_ledger(database_url) as one, open_ledger(database_url) as two:
            for loan_id, currency in loans.items():
                opened = disbursement(loan_id, 10_000, currency=currency, on=draw.choice(days))
                await post_all(one, books, opened)
            commands: list[Command] = []
            for _ in range(80):
                loan_id, on = draw.choice(list(loans)), draw.choice(days)
                build = draw.choice((payment, payment, disbursement))
                amount = draw.randint(1, 2_000)
                commands.append(build(loan_id, amount, currency=loans[loan_id], on=on))
            for on in set(days):
                dollars = [loan_id for loan_id in loans if loans[loan_id] == "USD"]
                if dollars:
                    commands.append(accrual(dict.fromkeys(dollars, draw.randint(1, 90)), on=on))
            outcomes = await asyncio.gather(
                *(post_all(draw.choice((one, two)), books, command) for command in commands)
            )
            for (outcome,) in outcomes:
                assert isinstance(outcome, Posted), outcome
            posted = uuid.UUID(bytes=outcomes[0][0].journal_entry_id)  # type: ignore[union-attr]
            await post_all(two, books, reversal(posted, on=draw.choice(days)))
            await compare(one, books, [*days, days_ago(100), days_ago(31), today()])

    play(scenario())
    assert verify_tenant(database_url, books.tenant_id).findings == []


async def compare(ledger: Ledger, books: Books, days: list[datetime.date]) -> None:
    """Every account, currency and day as read against the sum of its lines, added up here."""
    lines = books.fetch(
        "SELECT account_code, currency, direction, effective_at, amount_minor FROM journal_lines"
        " JOIN journal_entries USING (tenant_id, journal_entry_id) WHERE tenant_id = %s"
    )
    wanted: list[tuple[datetime.date | None, bytes | None]] = [(None, None)]
    wanted += [(day, day.isoformat().encode()) for day in days]
    for day, as_of in wanted:
        expected: dict[tuple[int, str, bytes], int] = defaultdict(int)
        for account, currency, direction, effective_at, amount in lines:
            if day is None or effective_at <= day:
                letter = direction if isinstance(direction, bytes) else direction.encode()
                expected[(account, currency, letter)] += amount
        for account in ACCOUNTS:
            for currency in ("USD", "EUR", "JPY"):
                row = await ledger.reads.account(
                    books.tenant_id.bytes, b"%d" % account, currency.encode(), b"S", as_of
                )
                assert row is not None
                sides = (expected[(account, currency, b"D")], expected[(account, currency, b"C")])
                assert (row.debit_minor, row.credit_minor) == sides, (account, currency, day)


def test_no_two_connections_own_the_same_stripe(database_url: str) -> None:
    async def scenario() -> None:
        pools = [
            Pool(database_url, WRITER_STATEMENTS, size=3, waiters_max=1, owns_stripes=True)
            for _ in range(2)
        ]
        held = [pool.lease() for pool in pools for _ in range(3)]
        wires = await asyncio.gather(*(lease.__aenter__() for lease in held))
        stripes = [wire.stripe for wire in wires]
        assert len(set(stripes)) == len(wires)
        assert all(0 <= stripe < limits.STRIPES_MAX for stripe in stripes)
        wires[0].close()
        replacement = await Wire.connect(database_url, WRITER_STATEMENTS, STRIPE_LOCK_CLASS)
        assert replacement.stripe not in stripes[1:]
        replacement.close()
        for lease in held:
            await lease.__aexit__(None, None, None)
        for pool in pools:
            pool.close()

    play(scenario())


def test_two_writers_of_the_same_accounts_do_not_wait_for_each_other_before_the_block(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have added to cash in open transactions at the same time; only the chain is in order."""
    books = Books(database_url)
    loan_ids = [uuid.uuid4(), uuid.uuid4()]
    books.post(*(disbursement(loan_id, 1_000) for loan_id in loan_ids))
    added: set[int] = set()
    both_added = asyncio.Event()
    run = Wire.run

    async def stop_before_block(wire: Wire, steps: list[Step]) -> list[Rows]:
        names = [step.statement for step in steps]
        if "append_block" not in names:
            return await run(wire, steps)
        at = names.index("append_block")
        rows = await run(wire, steps[:at])
        added.add(wire.stripe)
        if len(added) == 2:
            both_added.set()
        await asyncio.wait_for(both_added.wait(), 30)
        return rows + await run(wire, steps[at:])

    async def scenario() -> None:
        async with open_ledger(database_url) as one, open_ledger(database_url) as two:
            monkeypatch.setattr(Wire, "run", stop_before_block)
            outcomes = await asyncio.gather(
                post_all(one, books, payment(loan_ids[0], 10)),
                post_all(two, books, payment(loan_ids[1], 20)),
            )
            assert all(isinstance(outcome, Posted) for (outcome,) in outcomes)

    play(scenario())
    assert len(added) == 2, "each on a stripe of its own"
    assert verify_tenant(database_url, books.tenant_id).findings == []


def total(books: Books, account: int) -> tuple[int, int]:
    ((debit, credit),) = books.fetch(
        "SELECT sum(debit_minor), sum(credit_minor) FROM account_totals"
        " WHERE tenant_id = %s AND account_code = %s",
        account,
    )
    return int(debit), int(credit)


@pytest.mark.parametrize("attempt", range(5))
def test_two_racing_writers_never_pass_int64_together(database_url: str, attempt: int) -> None:
    """Each stripe alone stays far below; only one of the two fits into what is left."""
    books = Books(database_url)
    half = INT64_MAX // 2 + 10

    async def scenario() -> None:
        async with open_ledger(database_url) as one, open_ledger(database_url) as two:
            outcomes = await asyncio.gather(
                post_all(one, books, disbursement(uuid.uuid4(), half)),
                post_all(two, books, disbursement(uuid.uuid4(), half)),
            )
        flat = [outcome for each in outcomes for outcome in each]
        assert sorted(type(outcome).__name__ for outcome in flat) == ["Posted", "Refusal"]
        (refusal,) = [outcome for outcome in flat if isinstance(outcome, Refusal)]
        assert refusal.rejection is Rejection.AMOUNT_OVERFLOW

    play(scenario())
    assert total(books, 1100) == (half, 0)
    assert len(books.fetch("SELECT FROM loans WHERE tenant_id = %s")) == 1


def test_the_second_of_two_that_pass_int64_is_refused_though_it_began_before_the_commit(
    database_url: str,
) -> None:
    """Both wait for the head with their totals added: whoever comes second must see the first."""
    books = Books(database_url)

    async def scenario() -> None:
        async with open_ledger(database_url) as one, open_ledger(database_url) as two:
            with psycopg.connect(database_url) as holder:
                holder.execute(
                    "SELECT FROM ledger_heads WHERE tenant_id = %s FOR UPDATE", (books.tenant_id,)
                )
                tries = [
                    asyncio.create_task(post_all(ledger, books, disbursement(uuid.uuid4(), amount)))
                    for ledger, amount in ((one, INT64_MAX), (two, 1))
                ]
                await until_blocked(holder)
                await asyncio.sleep(0.2)
            outcomes = [outcome for each in await asyncio.gather(*tries) for outcome in each]
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Posted", "Refusal"]

    play(scenario())
    assert total(books, 1100)[0] in (1, INT64_MAX)


def test_an_overflow_across_stripes_fails_only_its_posting(database_url: str) -> None:
    books, small = Books(database_url), uuid.uuid4()

    async def scenario() -> None:
        async with open_ledger(database_url) as one, open_ledger(database_url) as two:
            await post_all(one, books, disbursement(uuid.uuid4(), INT64_MAX - 100))
            outcomes = await post_all(
                two,
                books,
                disbursement(small, 60),
                disbursement(uuid.uuid4(), 50),
                payment(small, 60),
                disbursement(uuid.uuid4(), 40),
            )
        names = [type(outcome).__name__ for outcome in outcomes]
        assert names == ["Posted", "Refusal", "Posted", "Posted"]

    play(scenario())
    assert total(books, 1100) == (INT64_MAX, 60)
    assert verify_tenant(database_url, books.tenant_id).findings == []
