"""A bounded load of payments under known keys, retried under the same key, and its audit.

Raw http.client connections, one a thread, so that a reply that was cut is told from one that never
came. The audit believes only the lines in the database and the replies that were received.
"""

import http.client
import json
import random
import ssl
import threading
import time
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg

from hpts.store.verify import verify_tenant

CLIENTS = 32
PRINCIPAL_MINOR = 10**12
RETRY_SECONDS_MAX = 15
RETRY_PAUSE_SECONDS = 0.05
RETRIED = (409, 503)


class Reply(NamedTuple):
    """One complete reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """Of a problem."""
        code = json.loads(self.body).get("code")
        return None if code is None else str(code)


class _OneWrite(http.client.HTTPConnection):
    """Head and body in one piece. A server may refuse a request by its head and close; a client
    that still had the body to write would never read the refusal."""

    def _send_output(self, message_body: bytes | None = None, encode_chunked: bool = False) -> None:
        assert not encode_chunked
        head = b"\r\n".join((*self._buffer, b"", b""))  # type: ignore[attr-defined]
        self._buffer.clear()  # type: ignore[attr-defined]
        self.send(head + (message_body or b""))


class _OneWriteTls(_OneWrite, http.client.HTTPSConnection):
    pass


class Client:
    """One persistent connection to wherever `port` points at the time; over TLS with `context`,
    from `source`, with `headers` in each request."""

    def __init__(
        self,
        port: int,
        token: str,
        *,
        context: ssl.SSLContext | None = None,
        source: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.port = port
        self._token = token
        self._context = context
        self._source = None if source is None else (source, 0)
        self._headers = headers or {}
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, key: str, body: dict[str, object]) -> Reply:
        """Raises OSError, http.client.HTTPException when no complete reply came."""
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        return self._send("POST", path, json.dumps(body), headers)

    def get(self, path: str) -> Reply:
        return self._send("GET", path, None, {"Authorization": f"Bearer {self._token}"})

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Reply:
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request(method, path, body, headers | self._headers)
            response = self._connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        except BaseException:
            self.close()
            raise

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            return _OneWrite("127.0.0.1", self.port, timeout=30, source_address=self._source)
        return _OneWriteTls(
            "127.0.0.1", self.port, timeout=30, source_address=self._source, context=self._context
        )

    @property
    def local_port(self) -> int:
        """Of the connection; after the first request."""
        assert self._connection is not None
        return int(self._connection.sock.getsockname()[1])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Loan(NamedTuple):
    loan_id: str
    borrower_id: str


def day() -> str:
    return datetime.now(UTC).date().isoformat()


def loan_body(loan: Loan, amount_minor: int) -> dict[str, object]:
    return {
        "loan_id": loan.loan_id,
        "borrower_id": loan.borrower_id,
        "amount_minor": str(amount_minor),
        "currency": "USD",
        "effective_at": day(),
    }


def payment_body(loan: Loan, amount_minor: int) -> dict[str, object]:
    return loan_body(loan, amount_minor) | {"source_method": "ach"}


def open_loans(port: int, token: str, count: int, client: Client | None = None) -> list[Loan]:
    """New loans of PRINCIPAL_MINOR each."""
    client = client or Client(port, token)
    loans = [Loan(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(count)]
    for loan in loans:
        body = loan_body(loan, PRINCIPAL_MINOR) | {"method": "wire"}
        reply = client.post("/v1/disbursements", f"disbursement:{loan.loan_id}", body)
        assert reply.status == 201, reply
    client.close()
    return loans


class Payers:
    """CLIENTS threads that pay until told to stop; a context manager that ends them."""

    def __init__(self, port: int, token: str, loans: list[Loan], seed: int) -> None:
        print(f"seed of the payers: {seed}")
        self.port = port
        self.token = token
        self.loans = loans
        self.bodies: dict[str, dict[str, object]] = {}
        self.replies: dict[str, list[Reply]] = defaultdict(list)
        self.unexpected: list[Reply] = []
        self.given_up: list[str] = []
        self.connections_lost_count = 0
        self.retries_count = 0
        self._seed = seed
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._pay, args=(i,)) for i in range(CLIENTS)]

    def __enter__(self) -> "Payers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let every client finish what it began."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def answered_count(self) -> int:
        return len(self.replies)

    def _pay(self, number: int) -> None:
        drawn = random.Random(f"{self._seed}/{number}")
        client = Client(self.port, self.token)
        payment = 0
        while not self._stop.is_set():
            payment += 1
            key = f"payment:{self._seed}:{number}:{payment}"
            self.bodies[key] = payment_body(drawn.choice(self.loans), drawn.randint(1, 5_000))
            self._post_until_answered(client, key)
        client.close()

    def _post_until_answered(self, client: Client, key: str) -> None:
        deadline = time.monotonic() + RETRY_SECONDS_MAX
        while time.monotonic() < deadline:
            client.port = self.port
            try:
                reply = client.post("/v1/payments", key, self.bodies[key])
            except (OSError, http.client.HTTPException):
                self.connections_lost_count += 1
                time.sleep(RETRY_PAUSE_SECONDS)
                continue
            if reply.status in (200, 201):
                self.replies[key].append(reply)
                return
            if reply.status not in RETRIED:
                self.unexpected.append(reply)
                return
            self.retries_count += 1
            time.sleep(RETRY_PAUSE_SECONDS)
        self.given_up.append(key)

    def replay_everything(self) -> None:
        """Post every key once more that was ever sent; whatever is answered joins the replies."""
        keys = list(self.bodies)
        shares = [keys[start::8] for start in range(8)]

        def replay(share: list[str]) -> None:
            client = Client(self.port, self.token)
            for key in share:
                self._post_until_answered(client, key)
            client.close()

        with ThreadPoolExecutor(len(shares)) as pool:
            for _ in pool.map(replay, shares):
                pass


class Row(NamedTuple):
    """An entry as the database has it; `paid_minor` is the debit of cash, from the lines."""

    journal_entry_id: uuid.UUID
    idempotency_key: str
    reply: bytes
    paid_minor: int


def read_payments(database_url: str, tenant_id: str) -> list[Row]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT entry.journal_entry_id, entry.idempotency_key, entry.reply,"
            " sum(line.amount_minor) FILTER (WHERE line.direction = 'D')::bigint"
            " FROM journal_entries AS entry JOIN journal_lines AS line"
            " USING (tenant_id, journal_entry_id)"
            " WHERE entry.tenant_id = %s AND entry.event_type = 'payment_received'"
            " GROUP BY entry.tenant_id, entry.journal_entry_id",
            [tenant_id],
        ).fetchall()
    return [Row(*row) for row in rows]


def audit(payers: Payers, database_url: str, tenant_id: str) -> None:
    """Every 2xx is in the journal once, nothing else is, and the books are sound."""
    assert not payers.unexpected, payers.unexpected[:3]
    assert not payers.given_up, payers.given_up[:3]
    _check_what_is_posted(payers, database_url, tenant_id)
    payers.replay_everything()
    _check_replays(payers)
    rows = _check_what_is_posted(payers, database_url, tenant_id)
    assert {row.idempotency_key for row in rows} == set(payers.bodies)
    _check_balances(payers, rows)
    verified = verify_tenant(database_url, uuid.UUID(tenant_id))
    assert not verified.findings, verified.findings[:5]
    assert verified.counts["entries"] == len(rows) + len(payers.loans)
    print(
        f"{len(rows)} payments, {payers.connections_lost_count} connections lost,"
        f" {payers.retries_count} retries after a 503 or 409"
    )


def _check_what_is_posted(payers: Payers, database_url: str, tenant_id: str) -> list[Row]:
    rows = read_payments(database_url, tenant_id)
    by_key = {row.idempotency_key: row for row in rows}
    assert len(by_key) == len(rows), "a key was posted twice"
    assert by_key.keys() <= payers.bodies.keys(), "a payment that nobody sent"
    for key, replies in list(payers.replies.items()):
        row = by_key.get(key)
        assert row is not None, f"{key} was answered {replies[0]} and is not in the journal"
        assert json.loads(replies[0].body)["journal_entry_id"] == str(row.journal_entry_id)
        assert replies[0].body == row.reply
        assert str(row.paid_minor) == payers.bodies[key]["amount_minor"]
    return rows


def _check_replays(payers: Payers) -> None:
    assert not payers.unexpected, payers.unexpected[:3]
    assert not payers.given_up, payers.given_up[:3]
    for key, replies in payers.replies.items():
        assert len({reply.body for reply in replies}) == 1, (key, replies)
        assert len({reply.headers["location"] for reply in replies}) == 1, (key, replies)
        created = [reply for reply in replies if reply.status == 201]
        assert len(created) <= 1, (key, replies)
        for reply in replies:
            assert ("idempotent-replayed" in reply.headers) == (reply.status == 200), reply
    repeated = [replies[-1].status for replies in payers.replies.values() if len(replies) > 1]
    assert repeated and set(repeated) == {200}


def _check_balances(payers: Payers, rows: list[Row]) -> None:
    client = Client(payers.port, payers.token)
    paid_minor = sum(row.paid_minor for row in rows)
    owed_minor = 0
    for loan in payers.loans:
        reply = client.get(f"/v1/loans/{loan.loan_id}/balance")
        owed_minor += int(json.loads(reply.body)["principal_outstanding_minor"])
    assert owed_minor == PRINCIPAL_MINOR * len(payers.loans) - paid_minor
    cash = json.loads(client.get("/v1/accounts/1000/balance?currency=USD").body)
    assert int(cash["dr_balance_minor"]) == paid_minor
    client.close()
