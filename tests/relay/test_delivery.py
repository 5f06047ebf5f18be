"""Webhooks as a receiver sees them: real relays, receivers, sockets; kill -9 in the middle."""

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from hpts.domain.entries import format_timestamp
from tests.store.ledger_fixture import accrual, disbursement, payment, reversal

from .world import World, kill, opened, wait_until


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with opened(database_url, tmp_path) as found:
        yield found


def ids(*entries: list[uuid.UUID]) -> list[str]:
    return [str(entry) for found in entries for entry in found]


def post_many(world: World, loans: list[uuid.UUID], rounds: int) -> dict[uuid.UUID, list[str]]:
    """Payments of all loans, round by round; the entries of each loan in their order."""
    by_loan: dict[uuid.UUID, list[str]] = {loan: [] for loan in loans}
    for _ in range(rounds):
        for loan, entry in zip(
            loans, world.books.post(*(payment(loan, 1) for loan in loans)), strict=True
        ):
            by_loan[loan].append(str(entry))
    return by_loan


def first_arrivals(arrived: list[str], wanted: list[str]) -> list[str]:
    return [entry for entry in dict.fromkeys(arrived) if entry in set(wanted)]


def test_an_entry_arrives_as_the_contract_says_signed_after_the_standard(world: World) -> None:
    receiver = world.receiver()
    _, secret = world.endpoint(receiver.url)
    world.relay()
    (entry,) = world.books.post(disbursement(uuid.uuid4(), 5))
    wait_until(lambda: len(receiver.notes()) == 1, "the message")
    (note,) = receiver.notes()
    message = Webhook(secret).verify(
        note["body"], {k.lower(): v for k, v in note["headers"].items()}
    )
    ((posted_at, correlation),) = world.books.fetch(
        "SELECT ((extract(epoch FROM posted_at) - 946684800) * 1000000)::bigint, correlation_id"
        " FROM journal_entries WHERE tenant_id = %s"
    )
    assert message == {
        "journal_entry_id": str(entry),
        "tenant_id": str(world.books.tenant_id),
        "event_type": "disbursement",
        "occurred_at": format_timestamp(posted_at),
        "correlation_id": str(correlation),
    }
    headers = {name.lower(): value for name, value in note["headers"].items()}
    assert headers["webhook-id"] == str(entry)
    assert headers["content-type"] == "application/json"


def test_while_a_secret_is_rotated_the_old_and_the_new_one_verify(world: World) -> None:
    receiver = world.receiver()
    endpoint, old = world.endpoint(receiver.url)
    world.relay()
    world.books.post(disbursement(uuid.uuid4(), 5))
    wait_until(lambda: len(receiver.notes()) == 1, "a message of before")
    new = world.rotate(endpoint)

    def signature_count() -> int:
        world.books.post(disbursement(uuid.uuid4(), 5))
        headers = {name.lower(): value for name, value in receiver.notes()[-1]["headers"].items()}
        return len(headers["webhook-signature"].split())

    wait_until(lambda: signature_count() == 2, "the relay to hear of it")
    note = receiver.notes()[-1]
    headers = {name.lower(): value for name, value in note["headers"].items()}
    for secret in (old, new):
        Webhook(secret).verify(note["body"], headers)
    first, second = headers["webhook-signature"].split()
    for secret, signature in ((new, first), (old, second)):
        Webhook(secret).verify(note["body"], headers | {"webhook-signature": signature})


def test_an_endpoint_hears_of_what_is_posted_after_it_and_of_its_events_only(world: World) -> None:
    loan = uuid.uuid4()
    world.books.post(disbursement(loan, 1_000))
    receiver = world.receiver()
    world.endpoint(receiver.url, "payment_received", "reversal")
    world.relay()
    paid = world.books.post(payment(loan, 1))
    world.books.post(accrual({loan: 1}))
    undone = world.books.post(reversal(paid[0]))
    wait_until(lambda: len(receiver.notes()) >= 2, "two messages")
    assert receiver.accepted() == ids(paid, undone)


def test_a_failure_holds_back_its_loan_and_no_other(world: World) -> None:
    loan, other, third = (uuid.uuid4() for _ in range(3))
    world.books.post(*(disbursement(each, 1_000) for each in (loan, other, third)))
    receiver = world.receiver()
    endpoint, _ = world.endpoint(receiver.url)
    (failing,) = world.books.post(payment(loan, 1))
    receiver.answer(f"500 {failing}")
    world.relay()
    (free,) = world.books.post(payment(other, 1))
    (later,) = world.books.post(payment(loan, 2))
    (of_both,) = world.books.post(accrual({loan: 1, other: 1}))
    (behind,) = world.books.post(payment(other, 1))
    (apart,) = world.books.post(payment(third, 1))
    wait_until(lambda: {str(free), str(apart)} <= set(receiver.accepted()), "the other loans")
    wait_until(lambda: len(world.deliveries(endpoint)) == 4, "the deliveries")
    assert set(receiver.accepted()) == {str(free), str(apart)}
    shown = {row.journal_entry_id: row for row in world.deliveries(endpoint)}
    assert shown[str(failing)].status == "retrying"
    assert shown[str(failing)].response_status == 500
    for held in (later, of_both, behind):
        assert (shown[str(held)].status, shown[str(held)].attempt_count) == ("held", 0)
    receiver.answer("200")
    wait_until(lambda: len(receiver.accepted()) == 6, "the loan's entries")
    assert receiver.accepted()[2:] == ids([failing, later, of_both, behind])
    wait_until(
        lambda: {row.status for row in world.deliveries(endpoint)} == {"delivered"}, "the record"
    )


def test_an_endpoint_that_hangs_or_refuses_delays_no_other_and_redirects_are_not_followed(
    world: World,
) -> None:
    hanging, moved, gone, well = (world.receiver() for _ in range(4))
    hanging.answer("hang")
    moved.answer("redirect")
    gone.answer("410")
    for receiver in (hanging, moved, gone, well):
        world.endpoint(receiver.url)
    world.relay()
    log = world.folder / "relay.log"
    wait_until(lambda: "the relay is ready" in log.read_text(), "the relay")
    # Behind those that hang it would take a minute.
    entries = world.books.post(*(disbursement(uuid.uuid4(), 5) for _ in range(200)))
    wait_until(lambda: len(well.accepted()) == 200, "the one that is well", 20)
    assert sorted(well.accepted()) == sorted(ids(entries))
    wait_until(lambda: len(moved.notes()) > 3, "redirects")
    assert {note["path"] for note in moved.notes()} == {"/hook"}
    assert hanging.notes()
    assert gone.notes()
    assert not gone.accepted()


def test_kill_9_of_relay_and_receiver_skips_nothing_and_keeps_the_order_of_loans(
    world: World, seed: int
) -> None:
    draw = random.Random(seed)
    loans = [uuid.uuid4() for _ in range(30)]
    world.books.post(*(disbursement(loan, 10_000) for loan in loans))
    receiver = world.receiver()
    world.endpoint(receiver.url)
    relays = [world.relay(), world.relay()]
    by_loan: dict[uuid.UUID, list[str]] = {}
    writer = threading.Thread(target=lambda: by_loan.update(post_many(world, loans, 40)))
    writer.start()
    for _ in range(4):
        time.sleep(draw.uniform(0.2, 0.8))
        if draw.random() < 0.5:
            receiver.kill()
            time.sleep(draw.uniform(0, 0.3))
            receiver.start()
        kill(relays.pop(draw.randrange(2)))
        relays.append(world.relay())
    writer.join()
    posted = {entry for entries in by_loan.values() for entry in entries}
    assert len(posted) == 1_200
    wait_until(lambda: posted <= set(receiver.accepted()), "every entry")
    arrived = receiver.accepted()
    print(f"{len(arrived)} messages for {len(posted)} entries")
    for entries in by_loan.values():
        assert first_arrivals(arrived, entries) == entries


def test_a_tenant_has_one_holder_and_another_takes_over(world: World) -> None:
    receiver = world.receiver()
    world.endpoint(receiver.url)
    first, second = world.relay(), world.relay()
    entries = world.books.post(*(disbursement(uuid.uuid4(), 5) for _ in range(50)))
    wait_until(lambda: len(receiver.accepted()) >= 50, "the messages")
    kill(first)
    entries += world.books.post(*(disbursement(uuid.uuid4(), 5) for _ in range(50)))
    wait_until(lambda: set(receiver.accepted()) >= set(ids(entries)), "the other's messages", 10)
    second.terminate()
    assert second.wait(60) == 0
    counts = [receiver.accepted().count(entry) for entry in ids(entries)]
    assert max(counts) <= 2  # again at most what the killed one had not kept
    assert counts[50:] == [1] * 50, "two delivered for one tenant"


def test_parked_deliveries_are_driven_again(world: World) -> None:
    loan = uuid.uuid4()
    receiver = world.receiver()
    receiver.answer("503")
    endpoint, _ = world.endpoint(receiver.url)
    relay = world.relay()
    (entry,) = world.books.post(disbursement(loan, 1_000))
    (later,) = world.books.post(payment(loan, 5))
    wait_until(lambda: len(world.deliveries(endpoint)) == 2, "the failure")
    relay.terminate()
    assert relay.wait(60) == 0
    world.books.tamper(
        "UPDATE webhook_deliveries SET first_attempt_at = now() - interval '3 days',"
        " next_attempt_at = now() WHERE tenant_id = %(tenant)s AND status = 'retrying'"
    )
    receiver.answer(f"503 {entry}")
    world.relay()
    wait_until(lambda: receiver.accepted() == ids([later]), "what is behind a parked one")

    def status() -> str:
        (found,) = [row for row in world.deliveries(endpoint) if row.journal_entry_id == str(entry)]
        return found.status

    wait_until(lambda: status() == "parked", "the record")
    receiver.answer("200")
    assert world.redrive(endpoint) == 1
    wait_until(lambda: receiver.accepted() == ids([later, entry]), "the parked one")
    assert json.loads(receiver.notes()[-1]["body"])["journal_entry_id"] == str(entry)
