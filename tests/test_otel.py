"""Traces: what a span says, whose child it is, which requests a batch answered; off by default."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hpts.ledger import Ledger
from hpts.otel import OpenTelemetryTracer
from hpts.posting import Posted
from hpts.spans import SPANS
from tests.http.asgi import TRACE_ID, TRACED, answer
from tests.http.test_app import raising
from tests.store.ledger_fixture import Books, disbursement, posting_of

AUTHORIZED = (b"authorization", b"Bearer good")
CALLER = 0x00F067AA0BA902B7


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    monkeypatch.setattr(SPANS, "tracer", OpenTelemetryTracer(SimpleSpanProcessor(kept)))
    yield kept


def named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def test_a_request_continues_its_caller_s_trace_under_the_span_it_was_told(
    exporter: InMemorySpanExporter,
) -> None:
    found = answer(path="/v1/closed", headers=[TRACED, AUTHORIZED])
    spans = exporter.get_finished_spans()
    request = named(spans, "POST /v1/closed")
    assert f"{request.context.trace_id:032x}" == TRACE_ID
    assert request.parent is not None
    assert request.parent.span_id == CALLER
    answered = found.headers[b"traceparent"].decode().split("-")
    assert answered[1:3] == [TRACE_ID, f"{request.context.span_id:016x}"]
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["http.route"] == "/v1/closed"
    auth = named(spans, "auth")
    assert auth.parent is not None
    assert auth.parent.span_id == request.context.span_id
    assert auth.start_time is not None
    assert auth.end_time is not None
    assert request.start_time is not None
    assert request.end_time is not None
    assert request.start_time - 1_000_000 <= auth.start_time <= auth.end_time


def test_a_request_without_a_trace_begins_the_one_that_it_answers(
    exporter: InMemorySpanExporter,
) -> None:
    found = answer(headers=[])
    (request,) = exporter.get_finished_spans()
    answered = found.headers[b"traceparent"].decode().split("-")
    assert answered[1] == f"{request.context.trace_id:032x}"
    assert answered[2] == f"{request.context.span_id:016x}"
    assert request.parent is None


def test_what_the_caller_does_not_sample_is_not_recorded(exporter: InMemorySpanExporter) -> None:
    answer(headers=[(TRACED[0], TRACED[1][:-2] + b"00")])
    assert exporter.get_finished_spans() == ()
    answer(headers=[])
    assert len(exporter.get_finished_spans()) == 1, "the identifiers of one are not the next one's"


def test_a_failure_is_an_error_and_has_its_code(exporter: InMemorySpanExporter) -> None:
    answer(raising(ValueError("no")))
    (request,) = exporter.get_finished_spans()
    assert not request.status.is_ok
    assert request.attributes is not None
    assert request.attributes["error.type"] == "internal_error"


def test_no_span_holds_a_path_a_token_or_a_body(exporter: InMemorySpanExporter) -> None:
    answer(method="GET", path="/v1/things/my-secret", headers=[AUTHORIZED])
    assert "my-secret" not in exporter.get_finished_spans()[0].to_json()
    assert "good" not in exporter.get_finished_spans()[0].to_json()


def test_a_batch_links_to_its_requests_and_shows_its_steps(
    exporter: InMemorySpanExporter, database_url: str
) -> None:
    books = Books(database_url)
    parents = [f"00-{uuid.uuid4().hex}-{at:016x}-01" for at in range(1, 201)]

    async def post_all() -> None:
        ledger = Ledger(database_url)
        try:
            postings = [posting_of(disbursement(uuid.uuid4(), 100)) for _ in parents]
            for posting, traceparent in zip(postings, parents, strict=True):
                posting.traceparent = traceparent
            tenant_id = books.tenant_id.bytes
            outcomes = await asyncio.gather(*(ledger.post(tenant_id, one) for one in postings))
            assert all(isinstance(outcome, Posted) for outcome in outcomes)
        finally:
            await ledger.close()

    asyncio.run(post_all())
    spans = exporter.get_finished_spans()
    batch = named(spans, "batch")
    linked = [f"{link.context.trace_id:032x}-{link.context.span_id:016x}" for link in batch.links]
    assert linked == [parent[3:-3] for parent in parents], "all of them, not the last 128"
    for name in ("first pipeline", "decide", "second pipeline and commit"):
        step = named(spans, name)
        assert step.parent is not None
        assert step.parent.span_id == batch.context.span_id
    assert batch.parent is None


def test_without_a_tracer_nothing_is_made() -> None:
    assert SPANS.tracer is None
    answer(headers=[TRACED])
