"""The service level objectives, and whether measured figures keep them.

Writes answer within 100 ms and reads within 300 ms for 99 of 100 requests, and at most 5 of 10,000
answers are wrong. A limit that is met exactly is kept.
"""

from collections.abc import Mapping
from typing import NamedTuple

P99_MS_MAX: Mapping[str, float] = {"writes": 100.0, "reads": 300.0}
ERRORS_PER_TEN_THOUSAND_MAX = 5


class Measured(NamedTuple):
    """What the objectives look at. A p99 is None where there was no such request."""

    requests: int
    errors: int
    p99_ms: Mapping[str, float | None]


def broken_objectives(measured: Mapping[str, Measured]) -> list[str]:
    """A sentence for every objective that was not kept, by whom it was measured for."""
    found = []
    for whose, figures in measured.items():
        label = f"{whose}: " if whose else ""
        if figures.requests == 0:
            found.append(f"{label}no request was answered, so nothing was measured")
            continue
        for kind, limit_ms in P99_MS_MAX.items():
            p99_ms = figures.p99_ms.get(kind)
            if p99_ms is not None and p99_ms > limit_ms:
                found.append(f"{label}p99 of {kind} is {p99_ms:.1f} ms, above {limit_ms:.0f} ms")
        if figures.errors * 10_000 > figures.requests * ERRORS_PER_TEN_THOUSAND_MAX:
            found.append(
                f"{label}{figures.errors} errors in {figures.requests} requests, above 0.05 %"
            )
    return found
