"""The receiver that docs/OPERATIONS.md gives to partners does what is said of it."""

import http.client
import json
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.conftest import free_port
from tests.relay.world import ROOT, World, kill, opened, process, wait_until
from tests.store.ledger_fixture import disbursement, payment


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with opened(database_url, tmp_path) as found:
        yield found


def receiver_code() -> str:
    text = (ROOT / "docs" / "OPERATIONS.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text[text.index("### A receiver") :], re.DOTALL)
    return str(code)


class Documented:
    """The receiver of the document in a process of its own."""

    def __init__(self, world: World) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._world, self._file = world, world.folder / "received.db"
        self._code = world.folder / "documented.py"
        self._code.write_text(receiver_code())

    def start(self, *secrets: str) -> None:
        self._world.stack.enter_context(
            process(
                str(self._code),
                log=self._world.folder / "documented.log",
                WEBHOOK_SECRETS=" ".join(secrets),
                WEBHOOK_FILE=str(self._file),
                WEBHOOK_PORT=str(self.port),
            )
        )
        wait_until(self._answers, "the receiver")

    def _answers(self) -> bool:
        try:
            return self.post({}, b"{}") == 401
        except OSError:
            return False

    def post(self, headers: dict[str, str], body: bytes) -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("POST", "/hook", body, headers)
            return connection.getresponse().status

    def received(self) -> list[str]:
        """Identifiers in the order in which they were kept."""
        with closing(sqlite3.connect(self._file)) as database:
            rows = database.execute("SELECT webhook_id FROM received ORDER BY place").fetchall()
        return [webhook_id for (webhook_id,) in rows]


def signed(secret: str, at: float, body: bytes) -> dict[str, str]:
    """The headers of a message, as a library signs it."""
    message_id = str(uuid.uuid4())
    moment = datetime.fromtimestamp(int(at), UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body.decode()),
    }


def test_the_documented_receiver_keeps_each_entry_once_and_each_loans_in_order(
    world: World,
) -> None:
    receiver = Documented(world)
    _, secret = world.endpoint(receiver.url)
    receiver.start(secret)
    relays = [world.relay(), world.relay()]
    loans = [uuid.uuid4() for _ in range(5)]
    rounds = [world.books.post(*(disbursement(loan, 1_000) for loan in loans))]
    wait_until(lambda: len(receiver.received()) == 5, "the first messages")
    kill(relays[0])
    rounds += [world.books.post(*(payment(loan, 1) for loan in loans)) for _ in range(3)]
    wait_until(lambda: len(receiver.received()) == 20, "every entry")
    received = receiver.received()
    for of_loan in zip(*rounds, strict=True):
        wanted = [str(entry) for entry in of_loan]
        assert [entry for entry in received if entry in wanted] == wanted


def test_the_documented_receiver_takes_a_message_once_and_no_other_ones(world: World) -> None:
    receiver = Documented(world)
    old, new = (f"whsec_{value * 43}=" for value in "AB")
    receiver.start(old, new)
    body = json.dumps({"event_type": "payment_received"}).encode()
    headers = signed(old, time.time(), body)
    assert [receiver.post(headers, body) for _ in range(2)] == [204, 204]
    assert receiver.received() == [headers["webhook-id"]]
    wrong = [
        (headers, body + b" "),
        (headers | {"webhook-id": str(uuid.uuid4())}, body),
        (headers | {"webhook-timestamp": "x"}, body),
        (headers | {"webhook-signature": "v1,\xe4"}, body),
        ({name: value for name, value in headers.items() if name != "webhook-signature"}, body),
        (signed(old, time.time() - 400, body), body),
        (signed(f"whsec_{'C' * 43}=", time.time(), body), body),
    ]
    assert [receiver.post(*one) for one in wrong] == [401] * len(wrong)
    assert receiver.post(signed(new, time.time(), body), body) == 204
    assert len(receiver.received()) == 2


@pytest.mark.parametrize("knows", [["old"], ["new"], ["old", "new"]], ids=" ".join)
def test_while_a_secret_is_rotated_a_receiver_may_know_either(
    world: World, knows: list[str]
) -> None:
    receiver = Documented(world)
    endpoint_id, old = world.endpoint(receiver.url)
    secrets = {"old": old, "new": world.rotate(endpoint_id)}
    receiver.start(*(secrets[name] for name in knows))
    world.relay()
    (entry,) = world.books.post(disbursement(uuid.uuid4(), 5))
    wait_until(lambda: receiver.received() == [str(entry)], "the message")
