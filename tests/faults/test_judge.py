"""The judge condemns what is wrong: a record that was falsified, and a journal that was."""

import random
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psycopg
import pytest

from hpts.demo.connection import HttpReply
from hpts.http.issuer import DevelopmentIssuer
from tests.conftest import Server, start_server, stop_server
from tests.store.ledger_fixture import Books
from tests.system.processes import wait_until

from .background import Background
from .judge import Verdict, judge
from .load import Load
from .portfolio import Portfolio
from .record import Claim, Record, State

REQUESTS_MIN = 60
COPY_ENTRY = """
    INSERT INTO journal_entries
    SELECT tenant_id, %(copy)s, event_type, effective_at, posted_at, correlation_id,
        reverses_entry_id, loan_id, actor, idempotency_key, request_digest, details, reply,
        entry_hash
    FROM journal_entries WHERE tenant_id = %(tenant)s AND journal_entry_id = %(entry)s
"""
COPY_LINES = """
    INSERT INTO journal_lines
    SELECT tenant_id, %(copy)s, amount_minor, loan_id, sequence, account_code, direction, layer,
        currency
    FROM journal_lines WHERE tenant_id = %(tenant)s AND journal_entry_id = %(entry)s
"""
ENTRY = "tenant_id = %(tenant)s AND journal_entry_id = %(entry)s"


@pytest.fixture(scope="module")
def own_server(
    own_database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    server = start_server(own_database_url, issuer, tmp_path_factory.mktemp("judged") / "log")
    yield server
    stop_server(server)


class Case(NamedTuple):
    """What clients were told, and the books that hold it."""

    books: Books
    claims: list[Claim]

    def judge(self, claims: list[Claim] | None = None) -> Verdict:
        told = self.claims if claims is None else claims
        tenant_id = str(self.books.tenant_id)
        return judge(self.books.database_url, tenant_id, told, is_final=True)

    @property
    def payment(self) -> Claim:
        """One that was posted."""
        return next(c for c in self.claims if c.key.startswith("pay") and c.state is State.POSTED)

    def tamper(self, *statements: str) -> None:
        """With the payment's rows."""
        self.books.tamper(*statements, entry=self.payment.entry_id, copy=uuid.uuid4())

    def told_instead(self, **changed: object) -> list[Claim]:
        """The record with the payment's claim changed."""
        other = self.payment._replace(**changed)  # type: ignore[arg-type]
        return [other if claim.key == other.key else claim for claim in self.claims]


@pytest.fixture
def case(own_server: Server, issue_token: Callable[..., str], seed: int) -> Case:
    """A short load on a fresh tenant, without any fault."""
    books = Books(own_server.database_url)
    tenant_id = str(books.tenant_id)
    portfolio = Portfolio(tenant_id, issue_token(tenant_id), f"{seed}")
    port = int(own_server.base_url.rpartition(":")[2])
    load = Load(port, [portfolio], f"{seed}")
    with Background() as background:
        background.run(load.start())
        wait_until(lambda: len(portfolio.record.postings) > 2 * REQUESTS_MIN, "a load")
        load.stop()
        background.run(load.finish())
        assert background.run(load.replay(random.Random(seed))) > REQUESTS_MIN
        background.run(load.abandon())
    assert load.contradictions() == []
    return Case(books, portfolio.record.claims())


def test_sound_books_are_sound(case: Case) -> None:
    assert case.judge().is_sound, case.judge()
    assert {claim.state for claim in case.claims} >= {State.POSTED}


def test_a_lost_entry_is_missed(case: Case) -> None:
    case.tamper(
        f"DELETE FROM journal_lines WHERE {ENTRY}", f"DELETE FROM journal_entries WHERE {ENTRY}"
    )
    verdict = case.judge()
    assert [lost.split()[0] for lost in verdict.lost] == [case.payment.key]
    assert verdict.findings
    assert not verdict.doubled


def test_an_entry_that_never_was_is_missed(case: Case) -> None:
    """The books are sound: only the record knows."""
    invented = case.payment._replace(key="payment:invented")
    assert case.judge([*case.claims, invented]) == Verdict(
        lost=(f"payment:invented was answered {invented.reply!r}",)
    )


def test_a_doubled_entry_is_found(case: Case) -> None:
    name = "idempotency_key_is_used_once"
    with psycopg.connect(case.books.database_url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE journal_entries DROP CONSTRAINT {name}".encode())
        try:
            case.tamper(COPY_ENTRY, COPY_LINES)
            verdict = case.judge()
        finally:
            connection.execute(b"ALTER TABLE journal_entries DISABLE TRIGGER USER")
            connection.execute(
                "DELETE FROM journal_entries AS copy USING journal_entries AS first"
                " WHERE copy.tenant_id = first.tenant_id"
                " AND copy.idempotency_key = first.idempotency_key"
                " AND copy.journal_entry_id > first.journal_entry_id"
            )
            connection.execute(b"ALTER TABLE journal_entries ENABLE TRIGGER USER")
            connection.execute(
                f"ALTER TABLE journal_entries ADD CONSTRAINT {name}"
                " UNIQUE (tenant_id, idempotency_key)".encode()
            )
    assert verdict.doubled == (f"{case.payment.key} stands 2 times",)
    assert verdict.findings
    assert not verdict.lost


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE journal_entries SET reply = reply || ' ' WHERE {ENTRY}",
        f"UPDATE journal_entries SET request_digest = sha256('another') WHERE {ENTRY}",
        f"UPDATE journal_lines SET amount_minor = amount_minor + 1 WHERE {ENTRY}",
    ],
)
def test_an_altered_entry_is_found(case: Case, change: str) -> None:
    case.tamper(change)
    verdict = case.judge()
    assert [found.split(":")[0] for found in verdict.altered] == ["payments"]
    assert case.payment.key in verdict.altered[0]
    assert verdict.findings


@pytest.mark.parametrize(
    "changed",
    [
        {"reply": b"{}"},
        {"digest": b"\0" * 32},
        {"amount_minor": -1},
        {"entry_id": str(uuid.UUID(int=1))},
    ],
)
def test_an_altered_answer_is_found(case: Case, changed: dict[str, object]) -> None:
    verdict = case.judge(case.told_instead(**changed))
    assert len(verdict.altered) == 1
    assert verdict._replace(altered=()).is_sound


@pytest.mark.parametrize("state", [State.REFUSED, State.OPEN])
def test_what_was_posted_and_not_told_is_found(case: Case, state: State) -> None:
    verdict = case.judge(case.told_instead(state=state))
    assert len(verdict.strays) == 1
    assert verdict._replace(strays=()).is_sound


def test_what_nobody_sent_is_found(case: Case) -> None:
    verdict = case.judge([claim for claim in case.claims if claim != case.payment])
    assert verdict == Verdict(strays=(f"{case.payment.key} was sent by nobody",))


ENTRY_ID = str(uuid.UUID(int=7)).encode()
BODY = b'{"journal_entry_id":"%s"}' % ENTRY_ID


def reply(status: int, *, body: bytes = BODY) -> HttpReply:
    headers = {b"location": b"/v1/journal-entries/" + ENTRY_ID}
    if status == 200:
        headers[b"idempotent-replayed"] = b"true"
    return HttpReply(status, headers, body)


@pytest.mark.parametrize(
    ("replies", "is_right"),
    [
        ([reply(201), reply(200)], True),
        ([None, reply(503), reply(409), reply(200)], True),
        ([reply(201), reply(201)], False),
        ([reply(200)], False),
        ([reply(201), reply(200, body=BODY + b" ")], False),
        ([reply(500)], False),
        ([reply(401)], False),
        ([reply(201), reply(422)], False),
        ([reply(422)], False),
    ],
)
def test_contradictions_are_noted(replies: list[HttpReply | None], is_right: bool) -> None:
    record = Record("tenant")
    loan = str(uuid.UUID(int=1))
    body: dict[str, object] = {
        "loan_id": loan,
        "borrower_id": loan,
        "amount_minor": "5",
        "currency": "USD",
        "effective_at": "2026-01-01",
        "source_method": "ach",
    }
    posting = record.new("payments", "payment:1", body, 5, None)
    for answered in replies:
        record.note(posting, answered)
    assert (record.contradictions == []) == is_right, record.contradictions
