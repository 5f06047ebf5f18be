"""Statements and round trips of a batch are constants; its bytes grow with its postings alone."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from hpts.posting import Command, Posted
from hpts.store.wire import Rows, Step, Wire

from .ledger_fixture import Books, accrual, disbursement, open_ledger, payment, posting_of, reversal

Pipelines = list[Sequence[Step]]
ADVICE = (
    "this is paid by every posting: do without it, or change the figure here and say in the commit"
    " what it costs (make bench-compare ONLY=batch)"
)
READ_ONCE = ["enter_tenant", "read_tenant", "read_accounts"]
"""By each worker, before a tenant's first posting."""
OPEN = ["begin_writing", "claim_keys", "find_replays"]
CHAIN = ["add_account_totals", "append_block", "check_account_totals"]
END = [*CHAIN, "commit"]
END_REVERSAL = [*CHAIN, "record_audit_event", "commit"]
INSERT = ["insert_entries", "insert_lines"]
BULK_INSERT = [*INSERT, "insert_entry_loans"]
OPEN_PAYMENTS = [*OPEN, "lock_loans", "read_tenant"]
OPEN_ACCRUAL = [*OPEN, "limit_lock_waits", "await_loans", "find_accrued_loans", "read_tenant"]
OPEN_REVERSAL = [
    *OPEN,
    "limit_lock_waits",
    "lock_loans_of_entry",
    "read_entry_to_reverse",
    "read_lines_to_reverse",
    "read_tenant",
]


@pytest.fixture
def pipelines(monkeypatch: pytest.MonkeyPatch) -> Pipelines:
    """What is sent from here on: a pipeline is one Sync and so one round trip."""
    sent: Pipelines = []
    run = Wire.run

    async def record(wire: Wire, steps: Sequence[Step]) -> list[Rows]:
        if [step.statement for step in steps] != READ_ONCE:
            sent.append(steps)
        return await run(wire, steps)

    monkeypatch.setattr(Wire, "run", record)
    return sent


def post(books: Books, commands: Sequence[Command]) -> None:
    """Post the commands in one turn of the loop, under keys of one length."""

    async def scenario() -> None:
        async with open_ledger(books.database_url) as ledger:
            outcomes = await asyncio.gather(
                *(ledger.post(books.tenant_id.bytes, posting_of(command)) for command in commands)
            )
        assert all(isinstance(outcome, Posted) for outcome in outcomes), outcomes

    asyncio.run(scenario())


def statements(pipelines: Pipelines) -> list[list[str]]:
    return [[step.statement for step in steps] for steps in pipelines]


def bytes_sent(pipelines: Pipelines) -> int:
    return sum(
        len(parameter or b"")
        for steps in pipelines
        for step in steps
        for parameter in step.parameters
    )


@pytest.mark.parametrize("count", [1, 16, 256])
@pytest.mark.parametrize(
    ("kind", "bytes_a_batch", "bytes_a_posting"),
    [
        ("payment", 1_094, 608),
        ("first disbursement", 1_134, 695),
        ("later disbursement", 1_094, 668),
    ],
)
def test_a_batch_is_two_round_trips_of_the_same_statements_and_bytes(
    database_url: str,
    pipelines: Pipelines,
    kind: str,
    bytes_a_batch: int,
    bytes_a_posting: int,
    count: int,
) -> None:
    books = Books(database_url)
    loan_ids = [uuid.uuid4() for _ in range(count)]
    command: Any = payment if kind == "payment" else disbursement
    if kind != "first disbursement":
        post(books, [disbursement(loan_id, 1_000) for loan_id in loan_ids])
    pipelines.clear()
    post(books, [command(loan_id, 10) for loan_id in loan_ids])
    write = "insert_loans" if kind == "first disbursement" else "update_loans"
    assert statements(pipelines) == [OPEN_PAYMENTS, [*INSERT, write, *END]], ADVICE
    assert bytes_sent(pipelines) == bytes_a_batch + count * bytes_a_posting, ADVICE


def test_a_batch_that_opens_loans_and_pays_others_is_one_statement_more(
    database_url: str, pipelines: Pipelines
) -> None:
    books, opened, new = Books(database_url), uuid.uuid4(), uuid.uuid4()
    books.post(disbursement(opened, 10))
    pipelines.clear()
    post(books, [payment(opened, 5), disbursement(new, 10), payment(new, 10)])
    write = [*INSERT, "insert_loans", "update_loans", *END]
    assert statements(pipelines) == [OPEN_PAYMENTS, write]


@pytest.mark.parametrize("count", [1, 16, 256])
def test_an_accrual_and_its_reversal_are_two_round_trips_each(
    database_url: str, pipelines: Pipelines, count: int
) -> None:
    books = Books(database_url)
    loan_ids = [uuid.uuid4() for _ in range(count)]
    books.post(*(disbursement(loan_id, 10) for loan_id in loan_ids))
    pipelines.clear()
    (accrued,) = books.post(accrual(dict.fromkeys(loan_ids, 3)))
    write = [*BULK_INSERT, "update_loans", *END]
    assert statements(pipelines) == [OPEN_ACCRUAL, write], ADVICE
    assert bytes_sent(pipelines) == 1_703 + count * 243, ADVICE
    pipelines.clear()
    books.post(reversal(accrued))
    write = [*BULK_INSERT, "update_loans", *END_REVERSAL]
    assert statements(pipelines) == [OPEN_REVERSAL, write], ADVICE
    assert bytes_sent(pipelines) == 1_797 + count * 195, ADVICE


def test_the_reversal_of_an_entry_of_one_loan_needs_no_map(
    database_url: str, pipelines: Pipelines
) -> None:
    books = Books(database_url)
    (opened,) = books.post(disbursement(uuid.uuid4(), 10))
    pipelines.clear()
    books.post(reversal(opened))
    assert statements(pipelines) == [OPEN_REVERSAL, [*INSERT, "update_loans", *END_REVERSAL]]


def test_a_batch_of_refused_postings_writes_nothing(
    database_url: str, pipelines: Pipelines
) -> None:
    books = Books(database_url)

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            await ledger.post(books.tenant_id.bytes, posting_of(payment(uuid.uuid4(), 1)))

    asyncio.run(scenario())
    assert statements(pipelines) == [OPEN_PAYMENTS, ["roll_back"]]


def test_a_batch_with_replays_waits_for_the_standby_and_posts_nothing(
    database_url: str, pipelines: Pipelines
) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            first = posting_of(disbursement(loan_id, 10), key="the-same-key")
            again = posting_of(first.command, key="the-same-key", digest=first.request_digest)
            tenant_id = books.tenant_id.bytes
            await ledger.post(tenant_id, first)
            pipelines.clear()
            await asyncio.gather(
                ledger.post(tenant_id, again),
                ledger.post(tenant_id, posting_of(payment(uuid.uuid4(), 1))),
            )

    asyncio.run(scenario())
    assert statements(pipelines) == [OPEN_PAYMENTS, ["await_standby", "read_last_block", "commit"]]
