"""An idempotency key is spent once, whoever tries and however often; a replay is byte for byte."""

import asyncio
import hashlib
import random
import uuid
from collections import Counter

import psycopg
import pytest

from hpts.domain.rejections import Refusal, Rejection
from hpts.ledger import Ledger
from hpts.posting import Command, Outcome, Posted, Receipt
from hpts.store.append import hash_key

from .ledger_fixture import (
    Books,
    accrual,
    disbursement,
    open_ledger,
    payment,
    posting_of,
    render_identifier,
    reversal,
    until_blocked,
)
from .scenarios import play

DIGEST = bytes(range(32))
IN_PROGRESS = Refusal(Rejection.IDEMPOTENCY_IN_PROGRESS)
MISMATCH = Refusal(Rejection.IDEMPOTENCY_MISMATCH)


async def post(
    ledger: Ledger, books: Books, command: Command, key: str, digest: bytes = DIGEST
) -> Outcome:
    posting = posting_of(command, key=key, digest=digest, render=render_with_time)
    return await ledger.post(books.tenant_id.bytes, posting)


def render_with_time(receipt: Receipt) -> bytes:
    return render_identifier(receipt) + receipt.posted_at.encode()


def entries_under(books: Books, key: str) -> int:
    rows = books.fetch(
        "SELECT FROM journal_entries WHERE tenant_id = %s AND idempotency_key = %s", key
    )
    return len(rows)


def test_a_replay_is_byte_for_byte_also_on_another_worker(database_url: str) -> None:
    books, command = Books(database_url), disbursement(uuid.uuid4(), 1_000)

    async def scenario() -> None:
        async with open_ledger(database_url) as one, open_ledger(database_url) as two:
            first = await post(one, books, command, "one-and-only")
            assert isinstance(first, Posted)
            assert not first.is_replay
            for ledger in (one, two, two):
                again = await post(ledger, books, command, "one-and-only")
                assert again == Posted(first.journal_entry_id, first.reply, is_replay=True)
        async with open_ledger(database_url) as restarted:
            again = await post(restarted, books, command, "one-and-only")
            assert again == Posted(first.journal_entry_id, first.reply, is_replay=True)

    play(scenario())
    assert entries_under(books, "one-and-only") == 1
    assert books.fetch("SELECT principal_minor FROM loans WHERE tenant_id = %s") == [(1_000,)]


def test_another_request_under_a_spent_key_is_a_mismatch_whatever_it_asks(
    database_url: str,
) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    (opened,) = books.post(disbursement(loan_id, 1_000))
    others = [
        payment(loan_id, 11),
        payment(uuid.uuid4(), 10),  # would be refused: a mismatch comes first
        disbursement(loan_id, 10),
        accrual({loan_id: 1}),
        reversal(opened),
    ]

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            assert isinstance(await post(ledger, books, payment(loan_id, 10), "spent-key"), Posted)
            for number, command in enumerate(others):
                digest = bytes([number]) * 32
                assert await post(ledger, books, command, "spent-key", digest) == MISMATCH

    play(scenario())
    assert entries_under(books, "spent-key") == 1


def test_a_refused_request_leaves_no_trace_under_its_key(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            early = await post(ledger, books, payment(loan_id, 10), "tried-again")
            assert isinstance(early, Refusal)
            assert early.rejection is Rejection.LOAN_NOT_FOUND
            opened = await post(ledger, books, disbursement(loan_id, 9), "tried-again", b"\1" * 32)
            assert isinstance(opened, Posted)
            assert not opened.is_replay

    play(scenario())


def test_the_same_key_in_flight_on_one_worker_is_in_progress_at_once(database_url: str) -> None:
    books, command = Books(database_url), disbursement(uuid.uuid4(), 1_000)

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            outcomes = await asyncio.gather(
                *(post(ledger, books, command, "all-at-once") for _ in range(5))
            )
            assert isinstance(outcomes[0], Posted)
            assert outcomes[1:] == [IN_PROGRESS] * 4

    play(scenario())


def test_a_key_in_flight_on_another_worker_is_in_progress_without_waiting(
    database_url: str,
) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000))

    async def scenario() -> None:
        async with open_ledger(database_url) as one, open_ledger(database_url) as two:
            with psycopg.connect(database_url) as holder:
                holder.execute(
                    "SELECT FROM ledger_heads WHERE tenant_id = %s FOR UPDATE", (books.tenant_id,)
                )
                first = asyncio.create_task(post(one, books, payment(loan_id, 1), "held-up-key"))
                await until_blocked(holder)
                second = post(two, books, payment(loan_id, 1), "held-up-key")
                assert await asyncio.wait_for(second, 2) == IN_PROGRESS
                assert not first.done()
            outcome = await first
            assert isinstance(outcome, Posted)
            assert not outcome.is_replay
            again = await post(two, books, payment(loan_id, 1), "held-up-key")
            assert again == Posted(outcome.journal_entry_id, outcome.reply, is_replay=True)

    play(scenario())
    assert entries_under(books, "held-up-key") == 1


@pytest.mark.parametrize("kind", ["payment", "disbursement", "accrual", "reversal"])
def test_of_two_workers_with_the_same_keys_exactly_one_posts_each(
    database_url: str, kind: str, seed: int
) -> None:
    draw = random.Random(seed)
    books, loan_ids = Books(database_url), [uuid.uuid4() for _ in range(12)]
    opened = books.post(*(disbursement(loan_id, 1_000) for loan_id in loan_ids))
    commands: list[Command] = {
        "payment": [payment(loan_id, 10) for loan_id in loan_ids],
        "disbursement": [disbursement(uuid.uuid4(), 10) for _ in loan_ids],
        "accrual": [accrual({loan_id: 10}) for loan_id in loan_ids],
        "reversal": [reversal(entry_id) for entry_id in opened],
    }[kind]

    async def scenario() -> None:
        async with open_ledger(database_url) as one, open_ledger(database_url) as two:
            tries = [(at, ledger) for at in range(len(commands)) for ledger in (one, two)]
            draw.shuffle(tries)

            async def attempt(at: int, ledger: Ledger) -> Outcome:
                await asyncio.sleep(draw.random() * 0.02)
                return await post(ledger, books, commands[at], f"shared-key-{at}")

            outcomes = await asyncio.gather(*(attempt(at, ledger) for at, ledger in tries))
        found: dict[int, list[Outcome]] = {at: [] for at in range(len(commands))}
        for (at, _), outcome in zip(tries, outcomes, strict=True):
            found[at].append(outcome)
        kinds: Counter[str] = Counter()
        for at, both in found.items():
            posted = [each for each in both if isinstance(each, Posted) and not each.is_replay]
            assert len(posted) == 1, both
            (other,) = [each for each in both if each is not posted[0]]
            replay = Posted(posted[0].journal_entry_id, posted[0].reply, is_replay=True)
            assert other in (IN_PROGRESS, replay)
            assert entries_under(books, f"shared-key-{at}") == 1
            kinds[type(other).__name__] += 1
        print(kinds)

    play(scenario())


def test_two_tenants_share_no_key(database_url: str) -> None:
    one, two = Books(database_url), Books(database_url)
    command = disbursement(uuid.uuid4(), 5)

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            outcomes = await asyncio.gather(
                *(post(ledger, books, command, "common-key") for books in (one, two))
            )
        assert [type(outcome) for outcome in outcomes] == [Posted, Posted]
        assert outcomes[0] != outcomes[1]

    play(scenario())


def test_keys_are_hashed_with_their_tenant_to_64_bits() -> None:
    one, two = uuid.uuid4().bytes, uuid.uuid4().bytes
    assert hash_key(one, b"key-number-1") == hashlib.sha256(one + b"key-number-1").digest()[:8]
    hashes = {hash_key(tenant, b"key-%d" % n) for tenant in (one, two) for n in range(10_000)}
    assert len(hashes) == 20_000


def test_a_collision_of_hashes_never_answers_with_another_keys_posting(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All keys hash alike here; the postings of one batch share the lock."""
    monkeypatch.setattr("hpts.store.append.hash_key", lambda *_: bytes(8))
    books, loan_id = Books(database_url), uuid.uuid4()

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            outcomes = await asyncio.gather(
                *(post(ledger, books, disbursement(loan_id, 5), f"collides-{n}") for n in range(3))
            )
            assert len({o.journal_entry_id for o in outcomes if isinstance(o, Posted)}) == 3

    play(scenario())
