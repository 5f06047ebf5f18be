"""Refusals on their way into the audit record: folded, bounded, kept while the database is away."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from hpts.domain import limits
from hpts.domain.audit import Action, AuditEvent, Origin
from hpts.http.audit_trail import PRIVILEGED, AuditTrail
from hpts.http.auth import Principal, TokenRefused
from hpts.http.client_certificate import Entrance
from hpts.http.document import load_document
from hpts.http.messages import Request
from hpts.http.problems import ProblemRaised
from hpts.http.routes import ROUTES
from hpts.store.audit import NO_TENANT, AuditWriter
from hpts.store.tenants import add_tenant
from hpts.store.wire import ConnectionLost, StatementFailed
from tests.http.asgi import request_of

ROUTE_OF = {route.operation_id: route for route in ROUTES}
DENIED = ProblemRaised("insufficient_scope")
NEVER, AT_ONCE = 3600.0, 0.0


class Kept:
    """What was recorded; fails as often as it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.tried: asyncio.Queue[None] = asyncio.Queue()
        self.batches: list[tuple[bytes, Sequence[AuditEvent]]] = []
        self.failures = list(failures)

    async def record(self, tenant_id: bytes, events: Sequence[AuditEvent]) -> None:
        self.tried.put_nowait(None)
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append((tenant_id, events))

    def close(self) -> None:
        self.is_closed = True

    @property
    def events(self) -> list[tuple[bytes, AuditEvent]]:
        return [(tenant_id, event) for tenant_id, events in self.batches for event in events]


def request(
    operation_id: str = "postReversal",
    *,
    tenant_id: bytes | None = None,
    actor: str = "teller",
    peer: str = "192.0.2.1",
    trace_id: str = "trace",
) -> Request:
    made = request_of(peer=peer)
    made.route, made.trace_id = ROUTE_OF[operation_id], trace_id
    made.method = made.route.method
    made.origin_of = Entrance(is_for_partners=False).origin_of
    if tenant_id is not None:
        made.principal = Principal(tenant_id, "", actor, frozenset(), 0.0)
    return made


def trail_of(kept: Kept, fold_seconds: float = NEVER) -> AuditTrail:
    return AuditTrail(kept, fold_seconds=fold_seconds)


def noted(*refusals: tuple[Request, Exception], kept: Kept | None = None) -> Kept:
    """What is recorded of the refusals when the worker stops."""
    kept = kept or Kept()

    async def scenario() -> None:
        trail = trail_of(kept)
        for refused, error in refusals:
            raised = error if isinstance(error, ProblemRaised) else ProblemRaised("unauthorized")
            trail.note_refusal(refused, raised, error)
        await trail.stop()

    asyncio.run(scenario())
    return kept


def test_equal_refusals_are_one_event_with_the_trace_of_the_first() -> None:
    tenant_id = uuid.uuid4().bytes
    refusals = [(request(tenant_id=tenant_id, trace_id=f"t{n}"), DENIED) for n in range(5)]
    ((recorded_for, event),) = noted(*refusals).events
    assert recorded_for == tenant_id
    assert event == AuditEvent(
        action=Action.ACCESS_DENIED,
        is_allowed=False,
        actor="teller",
        origin=Origin("192.0.2.1", "t0"),
        subject="POST /v1/reversals",
        problem_code="insufficient_scope",
        occurrences=5,
    )


def test_refusals_that_differ_in_who_what_where_or_why_are_kept_apart() -> None:
    tenant_id = uuid.uuid4().bytes
    different: list[tuple[Request, Exception]] = [
        (request(tenant_id=tenant_id), DENIED),
        (request(tenant_id=tenant_id, actor="another"), DENIED),
        (request(tenant_id=tenant_id, peer="192.0.2.2"), DENIED),
        (request("postPayment", tenant_id=tenant_id), DENIED),
        (request(tenant_id=tenant_id), ProblemRaised("mtls_required")),
        (request(tenant_id=uuid.uuid4().bytes), DENIED),
        (request(), TokenRefused("the signature does not match")),
        (request(), TokenRefused("the token has expired")),
    ]
    assert [event.occurrences for _, event in noted(*different, *different).events] == [2] * 8


def test_a_token_that_cannot_be_judged_is_nobodys_with_the_reason() -> None:
    error = TokenRefused("the key that signed the token is not known")
    ((tenant_id, event),) = noted((request(), error)).events
    assert tenant_id == NO_TENANT.bytes
    assert (event.actor, event.problem_code) == (None, "unauthorized")
    assert event.details == b'{"reason":"the key that signed the token is not known"}'


@pytest.mark.parametrize(
    ("operation_id", "code", "is_recorded"),
    [
        ("postReversal", "already_reversed", True),
        ("postReversal", "idempotency_mismatch", True),
        ("postReversal", "tenant_unknown", True),
        ("postReversal", "bad_request", False),
        ("postReversal", "idempotency_in_progress", False),
        ("postReversal", "overloaded", False),
        ("postReversal", "internal_error", False),
        ("postReversal", "rate_limited", False),
        ("createWebhookEndpoint", "url_not_allowed", True),
        ("createWebhookEndpoint", "too_many_webhook_endpoints", True),
        ("postPayment", "amount_overflow", False),
        ("postPayment", "tenant_unknown", True),
        ("getJournalEntry", "not_found", False),
        ("getJournalEntry", "mtls_required", True),
    ],
)
def test_denials_everywhere_and_refusals_of_privileged_actions_are_recorded(
    operation_id: str, code: str, is_recorded: bool
) -> None:
    refused = request(operation_id, tenant_id=uuid.uuid4().bytes)
    events = noted((refused, ProblemRaised(code, subject="what it concerned"))).events
    assert [event.problem_code for _, event in events] == [code] * is_recorded
    if is_recorded and code not in ("tenant_unknown", "mtls_required"):
        assert events[0][1].action is PRIVILEGED[operation_id]
        assert events[0][1].subject == "what it concerned"


RECORDED_BY_THE_STORE = {"closePeriod", "reopenPeriod"}
"""Their refusals are recorded in the transaction that refuses them (store/periods.py)."""


def test_every_privileged_change_of_the_document_leaves_a_refused_event() -> None:
    privileged = {
        operation["operationId"]
        for operations in load_document()["paths"].values()
        for method, operation in operations.items()
        if method in ("post", "put", "patch", "delete")
        for need in operation["security"]
        if "hpts:admin:*" in need.get("bearerAuth", ())
    }
    assert len(privileged) >= 10
    assert privileged - RECORDED_BY_THE_STORE == PRIVILEGED.keys() - {"postReversal"}
    assert privileged >= RECORDED_BY_THE_STORE
    assert len({*PRIVILEGED.values()}) == len(PRIVILEGED), "each has an action of its own"


def test_an_unknown_path_is_no_attempt_at_anything() -> None:
    unrouted = request()
    unrouted.route = None
    assert noted((unrouted, ProblemRaised("not_found"))).events == []


def test_too_many_different_refusals_are_counted_and_the_count_is_recorded() -> None:
    flood = [(request(peer=f"2001:db8::{n:x}"), DENIED) for n in range(10_000)]
    tenant_id = uuid.uuid4().bytes
    others = [(request(tenant_id=tenant_id, actor=f"teller-{n}"), DENIED) for n in range(3)]
    events = noted(*flood, *others).events
    dropped = [event for _, event in events if event.action is Action.DENIALS_DROPPED]
    assert len(events) == limits.REFUSALS_KEPT_PER_TENANT_MAX + 1 + len(others)
    assert [event.occurrences for event in dropped] == [
        10_000 - limits.REFUSALS_KEPT_PER_TENANT_MAX
    ]
    assert [event.actor for of, event in events if of == tenant_id] == [
        "teller-0",
        "teller-1",
        "teller-2",
    ]


def test_many_tenants_refusals_stay_within_the_bound_of_all() -> None:
    flood = [(request(tenant_id=uuid.uuid4().bytes), DENIED) for _ in range(5_000)]
    events = noted(*flood).events
    assert len(events) == limits.REFUSALS_KEPT_MAX + 1
    assert sum(event.occurrences for _, event in events) == 5_000


def test_a_transaction_writes_a_bounded_number_of_events() -> None:
    tenant_id = uuid.uuid4().bytes
    kept = noted(*((request(tenant_id=tenant_id, peer=f"::{n:x}"), DENIED) for n in range(500)))
    assert max(len(events) for _, events in kept.batches) <= limits.AUDIT_BATCH_MAX
    assert sum(event.occurrences for _, event in kept.events) == 500


@pytest.mark.parametrize(
    "failure", [ConnectionLost("away"), StatementFailed("record_audit_event", "55P03", "locked")]
)
def test_what_cannot_be_written_now_is_written_later(failure: Exception) -> None:
    kept = Kept(failure, failure)

    async def scenario() -> None:
        trail = trail_of(kept, AT_ONCE)
        for _ in range(2):
            trail.note_refusal(request(), DENIED, DENIED)
        for _ in (failure, failure):
            await kept.tried.get()
        trail.note_refusal(request(), DENIED, DENIED)
        await kept.tried.get()
        await trail.stop()

    asyncio.run(scenario())
    assert sum(event.occurrences for _, event in kept.events) == 3


LASTING = StatementFailed("record_audit_event", "23514", "a check")


def test_what_can_never_be_written_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    tenant_id = uuid.uuid4().bytes
    refusals = [(request(tenant_id=tenant_id, actor=actor), DENIED) for actor in ("a", "a", "b")]
    with caplog.at_level("ERROR", "hpts"):
        events = noted(*refusals, kept=Kept(LASTING)).events
    assert events == [
        (
            NO_TENANT.bytes,
            AuditEvent(action=Action.DENIALS_DROPPED, is_allowed=False, occurrences=3),
        )
    ]
    assert "cannot be recorded" in caplog.text


def test_a_count_that_cannot_be_written_is_kept_for_the_next_time() -> None:
    kept = Kept(LASTING, LASTING)

    async def scenario() -> None:
        trail = trail_of(kept, AT_ONCE)
        trail.note_refusal(request(), DENIED, DENIED)
        for _ in range(3):
            await kept.tried.get()
        await trail.stop()

    asyncio.run(scenario())
    assert [(event.action, event.occurrences) for _, event in kept.events] == [
        (Action.DENIALS_DROPPED, 1)
    ]


def test_a_count_that_is_never_written_is_said_at_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("WARNING", "hpts"):
        assert noted((request(), DENIED), kept=Kept(LASTING, LASTING)).events == []
    assert "1 refusals could not be recorded" in caplog.text


def test_a_stop_waits_for_no_database_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "AUDIT_STOP_SECONDS_MAX", 0.01)

    class Hanging(Kept):
        async def record(self, tenant_id: bytes, events: Sequence[AuditEvent]) -> None:
            await asyncio.Event().wait()

    async def scenario() -> None:
        trail = trail_of(Hanging())
        trail.note_refusal(request(), DENIED, DENIED)
        await trail.stop()

    with caplog.at_level("WARNING", "hpts"):
        asyncio.run(scenario())
    assert "does not answer" in caplog.text


def rows(database_url: str, tenant_id: uuid.UUID, **of: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT action, actor, source, occurrences, details::text FROM audit_events"
            " WHERE tenant_id = %s AND outcome = 'refused' ORDER BY event_number",
            (tenant_id,),
        ).fetchall()


def test_ten_thousand_denials_are_a_few_rows_that_tell_of_all(database_url: str) -> None:
    tenant_id = add_tenant(database_url, "Attacked")
    callers = [("teller", "192.0.2.1"), ("teller", "192.0.2.2"), ("robot", "192.0.2.1")]

    async def scenario() -> None:
        trail = AuditTrail(AuditWriter(database_url), fold_seconds=NEVER)
        for at in range(10_000):
            actor, peer = callers[at % 3]
            denied = request(tenant_id=tenant_id.bytes, actor=actor, peer=peer)
            trail.note_refusal(denied, DENIED, DENIED)
        await trail.stop()

    asyncio.run(scenario())
    assert rows(database_url, tenant_id) == [
        ("access.denied", "teller", "192.0.2.1", 3_334, "{}"),
        ("access.denied", "teller", "192.0.2.2", 3_333, "{}"),
        ("access.denied", "robot", "192.0.2.1", 3_333, "{}"),
    ]


def test_a_tenant_that_does_not_exist_gets_no_record_of_its_own(own_database_url: str) -> None:
    missing, error = uuid.uuid4(), ProblemRaised("tenant_unknown")

    async def scenario() -> None:
        trail = AuditTrail(AuditWriter(own_database_url), fold_seconds=NEVER)
        trail.note_refusal(request(tenant_id=missing.bytes), error, error)
        await trail.stop()

    asyncio.run(scenario())
    assert rows(own_database_url, missing) == []
    (row,) = rows(own_database_url, NO_TENANT)
    assert row[-1] == f'{{"tenant_id":"{missing}"}}'
