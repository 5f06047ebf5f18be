"""Where spans are sent, if anywhere: nobody asks for traces unless HPTS_TRACES does.

Requests and batches are told to the tracer when they are over, with times that they noted anyway;
without one they cost the look at whether it is there.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Span(NamedTuple):
    """A part of something: `seconds` from `started_at` of time.monotonic()."""

    name: str
    started_at: float
    seconds: float


class Tracer(Protocol):
    """What makes spans of what is told. `request` and `batch` neither wait nor
    raise."""

    def request(
        self,
        traceparent: str,
        continued: str | None,
        whole: Span,
        parts: Sequence[Span],
        facts: dict[str, str | int],
    ) -> None:
        """An answered request under its own `traceparent`; `continued` is the caller's."""

    def batch(
        self,
        whole: Span,
        parts: Sequence[Span],
        traceparents: Sequence[str],
        facts: dict[str, str | int],
    ) -> None:
        """A batch that was decided, with links to the requests that it answered."""

    def stop(self) -> None:
        """Send what waits to be sent; may take a while."""


class Spans:
    """The tracer of this process."""

    tracer: Tracer | None = None


SPANS = Spans()
