"""Requests to the application: bodies, headers and keys, queries and paths, page tokens."""

import json
import uuid
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote

from hpts.http.routes import ROUTES, UNDOCUMENTED_ROUTES
from tests.fuzz.application import Application, Header, Sent
from tests.fuzz.bodies import Bodies
from tests.fuzz.mutations import NASTY_BYTES, STRANGE, arbitrary_bytes, spoil_bytes, spoil_text
from tests.fuzz.schemas import LOANS, Schemas, operations, resolve
from tests.fuzz.target import Target

JSON: Header = (b"content-type", b"application/json")
KNOWN_HEADERS = (
    b"idempotency-key", b"authorization", b"content-type", b"content-length", b"traceparent",
    b"tracestate", b"x-trace-id", b"client-cert", b"client-cert-chain", b"x-forwarded-for", b"host",
    b"transfer-encoding", b"accept", b"accept-encoding", b"expect", b"range", b"cookie", b"origin",
)  # fmt: skip
GOOD_VALUES = (
    b"application/json", b"application/json; charset=utf-8", b"APPLICATION/JSON ;x", b"text/plain",
    b"a-key-of-eight", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"Bearer x",
    b"12", b"0", b"18446744073709551616", b"-1", b"chunked", b":AAAA:", b"abcdefgh-0123",
)  # fmt: skip
ENTRIES_SEEDED = 6


def target(context: dict[str, Any]) -> Target:
    requests = Requests(context)
    ways: dict[str, Callable[[Random], Sent]] = {
        "bodies": requests.draw_body,
        "headers and keys": requests.draw_headers,
        "queries and paths": requests.draw_query,
        "page tokens": requests.draw_page_token,
    }
    of_bytes: dict[str, Callable[[bytes], Sent]] = {
        "bodies": lambda data: requests.post("/v1/payments", data),
        "headers and keys": lambda data: requests.post("/v1/payments", b"{}", key=data),
        "queries and paths": lambda data: requests.get("/v1/accounts/1000/balance", data),
        "page tokens": lambda data: requests.page(b"page_token=" + data),
    }
    name = context["name"]
    return Target(ways[name], requests.application.judge, of_bytes[name])


class Requests:
    """Draws requests of one tenant, whose ledger is given a few entries before."""

    def __init__(self, context: dict[str, Any]) -> None:
        self.application = Application()
        self._token: Header = (b"authorization", b"Bearer " + context["token"].encode())
        self._keys = 0
        self._schemas = Schemas(context["seed"])
        self._bodies = Bodies(context["seed"])
        self._page_tokens = [self._page_token_of(loan) for loan in LOANS[:2]]

    def _page_token_of(self, loan: str) -> str:
        body = {"loan_id": loan, "borrower_id": LOANS[0], "amount_minor": "5", "currency": "USD"}
        body |= {"effective_at": "2024-01-01", "method": "ach"}
        for _ in range(ENTRIES_SEEDED):
            sent = self.post("/v1/disbursements", json.dumps(body).encode())
            assert self.application.send(sent).status == 201
        path = f"/v1/loans/{loan}/journal-entries"
        answer = self.application.send(self.get(path, b"page_size=2"))
        return str(json.loads(answer.body)["next_page_token"])

    def post(self, path: str, data: bytes, key: bytes | None = None) -> Sent:
        if key is None:
            self._keys += 1
            key = b"fuzz-key-%d" % self._keys
        headers = (self._token, JSON, (b"idempotency-key", key))
        return Sent("POST", path, b"", headers, (data,))

    def get(self, path: str, query: bytes) -> Sent:
        return Sent("GET", path, query, (self._token,))

    def page(self, query: bytes) -> Sent:
        return self.get(f"/v1/loans/{LOANS[0]}/journal-entries", query)

    def draw_body(self, random: Random) -> Sent:
        """A body of any operation, whole or in chunks, once in a while cut off."""
        operation = random.choice(self._bodies.operations)
        body = self._bodies.draw_of(random, operation)
        path = self._path_of(random, operations()[operation]["path"], is_good=True)
        sent = self.post(path, body.data)._replace(method=operations()[operation]["method"])
        if random.random() < 0.8:
            return sent
        at = random.randrange(len(body.data) + 1)
        tail = random.choice((body.data[at:], None))
        return sent._replace(chunks=(body.data[:at], tail))

    def draw_headers(self, random: Random) -> Sent:
        """A disbursement or a reading, whose headers are changed, left out, added or doubled."""
        body = self._bodies.draw_of(random, "postDisbursement")
        sent = self.post("/v1/disbursements", body.data)
        if random.random() < 0.3:
            sent = self.get(f"/v1/loans/{random.choice(LOANS)}/balance", b"")
        headers = list(sent.headers)
        for _ in range(random.choice((1, 1, 2, 5))):
            at = random.randrange(len(headers)) if headers else 0
            match random.randrange(5):
                case 0 if headers:
                    del headers[at]
                case 1 if headers:
                    name, value = headers[at]
                    headers[at] = (name, spoil_bytes(random, value))
                case 2 if headers:
                    headers.append(headers[at])
                case 3:
                    headers.insert(at, (random.choice(KNOWN_HEADERS), arbitrary_bytes(random)))
                case _:
                    value = spoil_bytes(random, random.choice(GOOD_VALUES))
                    good = random.choice(GOOD_VALUES)
                    name = random.choice(KNOWN_HEADERS)
                    headers.append((name, good if random.random() < 0.5 else value))
        peer = random.choice(("127.0.0.1", "192.0.2.7", "::1", "::ffff:127.0.0.1", "", "nobody"))
        return sent._replace(headers=tuple(headers), peer=peer)

    def draw_query(self, random: Random) -> Sent:
        """Any route with a spoilt path, method or query."""
        route = random.choice(ROUTES + UNDOCUMENTED_ROUTES)
        operation = operations().get(route.operation_id, {})
        path = self._path_of(random, route.template, is_good=random.random() < 0.7)
        pairs = [
            (resolve(one)["name"], resolve(one)["schema"])
            for one in operation.get("parameters", ())
            if resolve(one)["in"] == "query" and random.random() < 0.7
        ]
        query = "&".join(f"{name}={quote(self._written(random, one))}" for name, one in pairs)
        data = query.encode()
        match random.randrange(6):
            case 0:
                data = spoil_bytes(random, data)
            case 1:
                data += b"&" + data
            case 2:
                data = arbitrary_bytes(random)
            case 3:
                name = random.choice(("x", "as_of_date", "page_size", "currency", ""))
                strange = str(random.choice(STRANGE)).encode("utf-8", "replace")
                data += f"&{name}={quote(strange)}".encode()
        method = (
            random.choice(("GET", "POST", "HEAD", "PUT", "get", "\u0130", ""))
            if random.random() < 0.1
            else route.method
        )
        return self.get(path, data)._replace(method=method)

    def draw_page_token(self, random: Random) -> Sent:
        """A real token, of this query or of another, spoilt or not; or never one."""
        token = random.choice(self._page_tokens)
        written = token.encode()
        match random.randrange(5):
            case 0:
                written = spoil_text(random, token).encode("utf-8", "replace")
            case 1:
                written = spoil_bytes(random, written)
            case 2:
                written = arbitrary_bytes(random)
        data = b"page_token=" + (written if random.random() < 0.5 else quote(written).encode())
        extra = random.choice(
            (b"", b"", b"&page_size=1", b"&event_type=accrual", b"&to_date=2024-01-01")
        )
        return self.page(data + extra)._replace(
            path=f"/v1/loans/{random.choice(LOANS[:3])}/journal-entries"
        )

    def _written(self, random: Random, schema: dict[str, Any]) -> str:
        value = self._schemas.draw(random, schema)
        if random.random() < 0.3:
            value = random.choice((spoil_text(random, str(value)), random.choice(STRANGE)))
        return str(value).encode("utf-8", "replace").decode()

    def _path_of(self, random: Random, template: str, *, is_good: bool) -> str:
        """The path with something in place of its parameter."""
        before, _, rest = template.partition("{")
        if not rest:
            return template if is_good else spoil_text(random, template)
        name, _, after = rest.partition("}")
        good = {"account_code": "1000", "block_number": "1", "asset": "docs.css"}.get(name)
        value = good or random.choice((*LOANS, str(uuid.UUID(int=random.getrandbits(128)))))
        if not is_good:
            nasty = random.choice(NASTY_BYTES).decode("utf-8", "replace")
            value = random.choice((spoil_text(random, value), nasty, "", "9" * 400))
        return before + value + after
