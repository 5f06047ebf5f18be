"""Anybody can make a token, for the seal is a plain hash: over rubbish it is 400, never 500."""

from __future__ import annotations

import base64
import json
import random
import struct
import uuid
from typing import NamedTuple

import pytest

from hpts.domain.instants import LATEST, Instant
from hpts.http.document import load_document
from hpts.http.page_tokens import SEAL_BYTES, seal

from .client import INT64_MAX, answered, failing_fields, posted, refused
from .test_bank_reconciliation import REF, add_account
from .test_webhook_endpoints import create

NIL = str(uuid.UUID(int=0))
RUBBISH = (
    b"", b"\0", b"\0" * 3, b"\0" * 5, b"\0" * 15, b"\0" * 17, b"\xff" * 40, b"\0" * 200,
    b"\xff" * 4, b"\xff" * 12, b"\xff" * 20, b"\x80" + b"\0" * 19, b"\x80" + b"\0" * 11,
    struct.pack(">QI8s", 2**64 - 1, 0, b"hashhash"), struct.pack(">QI8s", 0, 2**31, b"hashhash"),
    struct.pack(">QI", 2**63, 0), struct.pack(">QI", 0, 2**31), struct.pack(">I", 2**31),
    b"[null]", b"[[[[[]]]]]", b"[" * 300, b'{"a": 1}', b"1e999", b"[1e999]", b'"', b"[\xff]",
    b"\x95\xc0\xc0\xc0\xc0\xc0", b"\x94\xcf" + b"\xff" * 8, b"\x91" * 300,
)  # fmt: skip
FIELDS = (
    None, True, 1.5, [], [[[]]], {}, "", "x\0y", "\U0001f4b8", "infinity", "2024-02-30",
    "10000-01-01", "0190a1b2", "BL", 2**63, 2**64, 2**80, -(2**63) - 1, -(10**60),
)  # fmt: skip


class Paged(NamedTuple):
    """An operation as a forger sees it: path, query, what its tokens are sealed with, and a cursor
    that is good there."""

    path: str
    params: dict[str, str]
    query: tuple[object, ...]
    cursor: bytes
    parameter: str = "page_token"

    def read(self, api, cursor: bytes):
        token = seal(self.query, cursor)
        return api.get(self.path, params={**self.params, self.parameter: token})

    def refuses(self, api, cursor: bytes) -> None:
        problem = refused(self.read(api, cursor), 400, "bad_request")
        assert failing_fields(problem) == {self.parameter}, cursor


def paged_operations(api) -> dict[str, Paged]:
    """Every operation with a token or cursor, on a tenant that has something of each."""
    tenant, loan = uuid.UUID(api.tenant_id).bytes, api.open_loan(1_000).loan_id
    posted(add_account(api))
    hook = posted(create(api))["endpoint_id"]
    account, items = {"currency": "USD"}, {"bank_account_ref": REF}
    restated = account | {"as_of_date": "2024-01-31", "known_from": "2000-01-01T00:00:00Z"}
    known = ("2024-01-31", Instant(0), Instant(LATEST))
    hooked = ("listWebhookDeliveries", tenant, uuid.UUID(hook).bytes, None)
    unmatched, matched = (("listReconciliationItems", tenant, REF, one) for one in STATUSES)
    identifier = b"\xff" * 16
    return {
        "listLoanJournalEntries": Paged(
            f"/loans/{loan}/journal-entries", {},
            (tenant, uuid.UUID(loan).bytes, None, None, None), identifier,
        ),
        "listAccountEntries": Paged(
            "/accounts/1000/entries", account,
            ("account", tenant, "1000", "USD", "SETTLED", None, None),
            coded("2024-01-01", NIL, 3, -INT64_MAX - 1, NIL),
        ),
        "getLoanStatement": Paged(
            f"/loans/{loan}/statement", {}, ("loan", tenant, loan, None, None),
            coded("2024-01-01", NIL, NIL),
        ),
        "listJournalEntries": Paged(
            "/journal-entries", {}, (tenant, "feed"),
            cursor_of(answered(api.get("/journal-entries"))["next_cursor"]), "after",
        ),
        "getRestatement": Paged(
            "/accounts/1000/restatement", restated,
            ("restatement", tenant, "1000", "USD", "SETTLED", *known), identifier,
        ),
        "listWebhookDeliveries": Paged(
            f"/webhook-endpoints/{hook}/deliveries", {}, hooked,
            struct.pack(">qi", INT64_MAX, 2**31 - 1),
        ),
        "listPeriods": Paged(
            "/periods", {}, ("listPeriods", tenant), struct.pack(">i", 2**31 - 1)
        ),
        "listAuditEvents": Paged(
            "/audit-events", {}, ("listAuditEvents", tenant, *[None] * 5), identifier
        ),
        "listReconciliationItems": Paged(
            "/reconciliation/items", items, unmatched, coded("2024-01-01", "B", NIL, 2**31 - 1)
        ),
        "listReconciliationItems, matched": Paged(
            "/reconciliation/items", items | {"status": "matched"}, matched,
            coded(INT64_MAX, "L", NIL, 0),
        ),
    }  # fmt: skip


STATUSES = ("unmatched", "matched")


def cursor_of(token: str) -> bytes:
    """A feed's place is one of its chain, so it cannot be made up."""
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[:-SEAL_BYTES]


def coded(*fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


@pytest.fixture
def paged(api) -> dict[str, Paged]:
    return paged_operations(api)


def test_every_paged_operation_is_here_and_takes_a_token_of_its_shape(api, paged):
    with_tokens = {
        operation["operationId"]
        for path in load_document()["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for one in operation.get("parameters", ())
        if one.get("name") in ("page_token", "after")
        or one.get("$ref") == "#/components/parameters/PageToken"
    }
    assert {name.split(",")[0] for name in paged} == with_tokens
    for one in paged.values():
        answered(one.read(api, one.cursor))


def test_a_token_over_rubbish_is_refused(api, paged):
    for one in paged.values():
        for cursor in (*RUBBISH, one.cursor + b"\0", one.cursor[:-1], one.cursor + b" "):
            one.refuses(api, cursor)


def test_a_token_with_a_field_of_another_type_or_size_is_refused(api, paged):
    for one in paged.values():
        if not one.cursor.startswith(b"["):
            continue
        good = json.loads(one.cursor)
        for at in range(len(good)):
            for wrong in FIELDS:
                one.refuses(api, coded(*good[:at], wrong, *good[at + 1 :]))
        one.refuses(api, coded(*good, 1))
        one.refuses(api, json.dumps(good).encode())


def test_a_token_over_any_bytes_is_answered_or_refused(api, paged, seed):
    drawn = random.Random(seed)
    for one in paged.values():
        for _ in range(10):
            cursor = bytearray(one.cursor)
            for _ in range(drawn.randint(1, 3)):
                cursor[drawn.randrange(len(cursor))] = drawn.randrange(256)
            assert one.read(api, bytes(cursor)).status_code in (200, 400), bytes(cursor)
