"""Sends spans by OpenTelemetry's own SDK and exporter; the extra hpts[otel].

Standard OTEL_ variables say where to, what to sample, and how much may wait. A collector that is
away loses spans, never a request: the exporter has a thread and a bounded queue of its own.
"""

import logging
import os
import time
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OpenTelemetrySpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from hpts import __version__
from hpts.domain.limits import BATCH_POSTINGS_MAX
from hpts.spans import Span
from hpts.telemetry import logger

LINKS_VARIABLE = "OTEL_SPAN_LINK_COUNT_LIMIT"
LINKS_MAX = BATCH_POSTINGS_MAX
"""The SDK keeps the last 128 otherwise, and a batch would not show all of its requests."""
_propagator = TraceContextTextMapPropagator()


class _Identifiers(RandomIdGenerator):
    """Random, but for the next span and trace where the request already has told its client."""

    def __init__(self) -> None:
        self.next: SpanContext | None = None

    def generate_span_id(self) -> int:
        known, self.next = self.next, None
        return super().generate_span_id() if known is None else known.span_id

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self.next is None else self.next.trace_id


class OpenTelemetryTracer:
    """Makes spans of requests and batches when these are over. Of one process, made after the
    fork; used in one thread."""

    def __init__(self, processor: SpanProcessor) -> None:
        named = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "hpts"}
        self._identifiers = _Identifiers()
        self._provider = TracerProvider(
            resource=Resource.create(named),
            id_generator=self._identifiers,
            span_limits=SpanLimits(max_links=None if LINKS_VARIABLE in os.environ else LINKS_MAX),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("hpts", __version__)

    @classmethod
    def to_collector(cls) -> "OpenTelemetryTracer":
        """Over OTLP/HTTP to OTEL_EXPORTER_OTLP_ENDPOINT, http://localhost:4318 without it."""
        sdk = logging.getLogger("opentelemetry")
        sdk.handlers[:], sdk.propagate = logger.handlers, False
        return cls(BatchSpanProcessor(OTLPSpanExporter()))

    def request(
        self,
        traceparent: str,
        continued: str | None,
        whole: Span,
        parts: Sequence[Span],
        facts: dict[str, str | int],
    ) -> None:
        """See Tracer."""
        parent = _propagator.extract({} if continued is None else {"traceparent": continued})
        self._identifiers.next = _context_of(traceparent)
        span = self._start(whole, facts, parent=parent, kind=SpanKind.SERVER)
        self._identifiers.next = None  # where the sampler said no nobody has asked for it
        if int(facts["http.response.status_code"]) >= 500:
            span.set_status(Status(StatusCode.ERROR))
        self._end(span, whole, parts)

    def batch(
        self,
        whole: Span,
        parts: Sequence[Span],
        traceparents: Sequence[str],
        facts: dict[str, str | int],
    ) -> None:
        """See Tracer."""
        found = (_context_of(traceparent) for traceparent in traceparents)
        links = [Link(context) for context in found if context is not None]
        self._end(self._start(whole, facts, links=links), whole, parts)

    def _start(
        self,
        span: Span,
        facts: dict[str, str | int] | None = None,
        *,
        parent: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
    ) -> OpenTelemetrySpan:
        return self._tracer.start_span(
            span.name,
            parent,
            kind,
            attributes=facts,
            links=links,
            start_time=_wall_clock(span.started_at),
        )

    def _end(self, span: OpenTelemetrySpan, whole: Span, parts: Sequence[Span]) -> None:
        if span.is_recording():
            within = set_span_in_context(span)
            for part in parts:
                self._start(part, parent=within).end(_wall_clock(part.started_at + part.seconds))
        span.end(_wall_clock(whole.started_at + whole.seconds))

    def stop(self) -> None:
        """Send what waits. May take as long as the exporter does."""
        self._provider.shutdown()


def _wall_clock(monotonic: float) -> int:
    """Nanoseconds since 1970 of a time of time.monotonic()."""
    return int(monotonic * 1e9) + time.time_ns() - time.monotonic_ns()


def _context_of(traceparent: str) -> SpanContext | None:
    """What a traceparent of our own names."""
    if not traceparent:
        return None
    _, trace, span, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)))
