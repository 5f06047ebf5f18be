"""What is measured of a batch that was decided: its size, its steps, and how long each posting
waited in its lane. Once a batch, after its postings were answered."""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from hpts.meters import BY_TENANT, Counter, Histogram
from hpts.posting import TRAVEL_ALONE, Outcome, Posting
from hpts.spans import SPANS, Span, Tracer

POSTINGS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
STEP_SECONDS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    5.0,
)
WAIT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LANE = ("lane",)
LANES = (("ordinary",), ("bulk",))
"""Accruals and reversals go alone, on bulk lanes; everything else in batches, on ordinary ones."""

SIZE = Histogram("hpts_batch_postings", "Postings in a batch.", POSTINGS, LANE, LANES)
OPENING = Histogram(
    "hpts_batch_open_seconds",
    "First pipeline: claim keys, find replays, lock and read loans.",
    STEP_SECONDS,
    LANE,
    LANES,
)
DECIDING = Histogram(
    "hpts_batch_decide_seconds", "Rules and kernel, in memory.", STEP_SECONDS, LANE, LANES
)
COMMITTING = Histogram(
    "hpts_batch_commit_seconds",
    "Second pipeline: write and COMMIT, the log's sync included.",
    STEP_SECONDS,
    LANE,
    LANES,
)
WAITING = Histogram(
    "hpts_lane_wait_seconds",
    "From a posting's arrival to the batch that answered it.",
    WAIT_SECONDS,
    BY_TENANT,
)
BUSY = Counter(
    "hpts_busy_postings_total", "Postings that met a busy loan or key and went back to their lane."
)
FAILED = Counter(
    "hpts_batch_failures_total",
    "Batches that did not get through: the connection was lost, or a statement or rule failed.",
    ("reason",),
    (("connection",), ("statement",)),
)


class BatchTimes(NamedTuple):
    """When each step of a batch began, and when the last one ended; of time.monotonic()."""

    opening: float
    deciding: float
    committing: float
    ended: float


class BatchMeter:
    """The cells of one kind of lane."""

    def __init__(self, lane: str) -> None:
        self._lane = lane
        self._size = SIZE.cell_of(lane)
        self._opening = OPENING.cell_of(lane)
        self._deciding = DECIDING.cell_of(lane)
        self._committing = COMMITTING.cell_of(lane)

    def note(
        self,
        tenant_id: bytes,
        times: BatchTimes,
        outcomes: Sequence[tuple[Posting, Outcome]],
        busy_count: int,
        *,
        is_written: bool,
    ) -> None:
        """A batch was decided, and written where `is_written`."""
        if SPANS.tracer is not None:
            self._trace(SPANS.tracer, tenant_id, times, outcomes, is_written=is_written)
        SIZE.observe(self._size, len(outcomes) + busy_count)
        OPENING.observe(self._opening, times.deciding - times.opening)
        DECIDING.observe(self._deciding, times.committing - times.deciding)
        if is_written:
            COMMITTING.observe(self._committing, times.ended - times.committing)
        if busy_count:
            BUSY.add(BUSY.cell_of(), busy_count)
        waiting = WAITING.cell_of_tenant(tenant_id)
        began = times.opening
        WAITING.observe_all(waiting, [began - posting.queued_at for posting, _ in outcomes])

    def _trace(
        self,
        tracer: Tracer,
        tenant_id: bytes,
        times: BatchTimes,
        outcomes: Sequence[tuple[Posting, Outcome]],
        *,
        is_written: bool,
    ) -> None:
        opening, deciding, committing, ended = times
        last = "second pipeline and commit" if is_written else "roll back"
        tracer.batch(
            Span("batch", opening, ended - opening),
            (
                Span("first pipeline", opening, deciding - opening),
                Span("decide", deciding, committing - deciding),
                Span(last, committing, ended - committing),
            ),
            [posting.traceparent for posting, _ in outcomes],
            {
                "hpts.tenant_id": str(uuid.UUID(bytes=tenant_id)),
                "hpts.postings": len(outcomes),
                "hpts.lane": self._lane,
            },
        )


_ordinary, _bulk = BatchMeter("ordinary"), BatchMeter("bulk")


def meter_of(posting: Posting) -> BatchMeter:
    """Of the lanes that the posting travels on."""
    return _bulk if isinstance(posting.command, TRAVEL_ALONE) else _ordinary
