"""What locust's events told, as histograms by tenant, operation and window of time, in one file.

The process that runs locust writes it, the one that reports reads it.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from loadtest.histogram import Histogram

WINDOWS_MAX = 40
"""Of 300 requests a second each then has hundreds, even in a short run."""
REASONS_MAX = 100
WRITES = frozenset(
    ("postPayment", "postDisbursement", "postAccrualBatch", "postReversal", "replay")
)


def kind_of(operation: str) -> str:
    """Which objective an operation counts for."""
    return "writes" if operation in WRITES else "reads"


class TenantPlan(msgspec.Struct, frozen=True):
    name: str
    token: str


class RunPlan(msgspec.Struct, frozen=True):
    """What the locust process is to do; holds tokens, so its file is for the owner alone."""

    base_url: str
    scenario: str
    seconds: int
    tenants: list[TenantPlan]
    result: str


class Series(msgspec.Struct, frozen=True):
    """The answers to one operation of one tenant in one window."""

    tenant: str
    operation: str
    window: int
    histogram: dict[str, Any]


class Recording(msgspec.Struct, frozen=True):
    """A whole run. `errors` are counted by tenant, operation and reason."""

    seconds: float
    window_seconds: int
    series: list[Series]
    errors: list[tuple[str, str, str, int]]
    final_balances_checked: int
    final_balances_wrong: int
    is_generator_busy: bool
    """Locust warned that it had too little processor: its times are its own then."""

    def histogram(
        self,
        *,
        kind: str | None = None,
        tenant: str | None = None,
        operation: str | None = None,
        window: int | None = None,
    ) -> Histogram:
        """Of all answers that match; None matches all."""
        return Histogram.merged(
            Histogram.from_json(series.histogram)
            for series in self.series
            if kind in (None, kind_of(series.operation))
            and tenant in (None, series.tenant)
            and operation in (None, series.operation)
            and window in (None, series.window)
        )

    def errors_of(
        self, *, kind: str | None = None, tenant: str | None = None, operation: str | None = None
    ) -> int:
        return sum(
            count
            for error_tenant, error_operation, _, count in self.errors
            if kind in (None, kind_of(error_operation))
            and tenant in (None, error_tenant)
            and operation in (None, error_operation)
        )


def read_recording(path: Path) -> Recording:
    return msgspec.json.decode(path.read_bytes(), type=Recording)


class Recorder:
    """Counts from `start` to `stop`; its memory does not grow with the number of requests."""

    def __init__(self, seconds: int) -> None:
        self._window_seconds = max(1, math.ceil(seconds / WINDOWS_MAX))
        self._histograms: dict[tuple[str, str, int], Histogram] = defaultdict(Histogram)
        self._errors: Counter[tuple[str, str, str]] = Counter()
        self._final: Counter[bool] = Counter()
        self._started = self._stopped = time.monotonic()

    def start(self) -> None:
        self._started = time.monotonic()

    def stop(self) -> None:
        self._stopped = time.monotonic()

    def record(self, tenant: str, operation: str, time_ms: float, error: str | None) -> None:
        window = int((time.monotonic() - self._started) // self._window_seconds)
        self._histograms[tenant, operation, window].record(time_ms)
        if error is not None:
            self._count_error(tenant, operation, error)

    def record_final_balance(self, tenant: str, error: str | None) -> None:
        """Of a loan read when everything was over."""
        self._final[error is None] += 1
        if error is not None:
            self._count_error(tenant, "getLoanBalance", f"after the run: {error}")

    def write(self, path: Path, *, is_generator_busy: bool = False) -> None:
        recording = Recording(
            seconds=self._stopped - self._started,
            window_seconds=self._window_seconds,
            series=[Series(*key, found.to_json()) for key, found in self._histograms.items()],
            errors=_flat(self._errors.items()),
            final_balances_checked=self._final.total(),
            final_balances_wrong=self._final[False],
            is_generator_busy=is_generator_busy,
        )
        path.write_bytes(msgspec.json.encode(recording))

    def _count_error(self, tenant: str, operation: str, error: str) -> None:
        key = (tenant, operation, error)
        if key not in self._errors and len(self._errors) >= REASONS_MAX:
            key = (tenant, operation, "other")
        self._errors[key] += 1


def _flat(
    errors: Iterable[tuple[tuple[str, str, str], int]],
) -> list[tuple[str, str, str, int]]:
    return [(tenant, operation, reason, count) for (tenant, operation, reason), count in errors]
