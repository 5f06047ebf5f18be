"""The figures of a recording: what summary.json holds, the printed table, and the verdict."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from loadtest.objectives import ERRORS_PER_TEN_THOUSAND_MAX, P99_MS_MAX, Measured, broken_objectives
from loadtest.recorder import Recording, kind_of

PERCENTILES = {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0, "p999_ms": 99.9}
OFFERED_SHARE_MIN_PERCENT = 90


class Row(NamedTuple):
    """Whose and which answers; None stands for all of them."""

    label: str
    tenant: str | None = None
    kind: str | None = None
    operation: str | None = None


def summarise(
    recording: Recording, *, scenario: str, users: int, offered_per_second: int
) -> dict[str, Any]:
    """Everything that summary.json holds. `broken_objectives` is empty when all were kept."""
    figures = {row.label: _figures(recording, row) for row in _rows(recording)}
    return {
        "scenario": scenario,
        "seconds": round(recording.seconds, 1),
        "users": users,
        "offered_per_second": offered_per_second,
        "objectives": {
            **{f"{kind}_p99_ms_max": limit_ms for kind, limit_ms in P99_MS_MAX.items()},
            "errors_per_ten_thousand_max": ERRORS_PER_TEN_THOUSAND_MAX,
        },
        "broken_objectives": broken_objectives(measured(recording)),
        "warnings": _warnings(figures["all"], recording, offered_per_second),
        "figures": figures,
        "errors": [
            {"tenant": tenant, "operation": operation, "reason": reason, "count": count}
            for tenant, operation, reason, count in recording.errors
        ],
        "final_balances": {
            "checked": recording.final_balances_checked,
            "wrong": recording.final_balances_wrong,
        },
    }


def measured(recording: Recording) -> dict[str, Measured]:
    """What the objectives are held against: the whole, and where there are several, each tenant."""
    tenants = _tenants(recording)
    found = {"": _measured(recording, None)}
    if len(tenants) > 1:
        found |= {f"tenant {tenant}": _measured(recording, tenant) for tenant in tenants}
    return found


def table(summary: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{'':<26}{'requests':>9}{'/s':>8}{'errors':>8}" + _percentile_names()]
    for label, figures in summary["figures"].items():
        percentiles = "".join(f"{_shown(figures[name]):>10}" for name in PERCENTILES)
        lines.append(
            f"{label:<26}{figures['requests']:>9,}{figures['per_second']:>8,.0f}"
            f"{figures['errors']:>8,}{percentiles}"
        )
    return "\n".join(lines)


def _rows(recording: Recording) -> Iterator[Row]:
    yield Row("all")
    for kind in P99_MS_MAX:
        yield Row(kind, kind=kind)
    tenants = _tenants(recording)
    if len(tenants) > 1:
        for tenant in tenants:
            for kind in P99_MS_MAX:
                yield Row(f"{tenant}: {kind}", tenant=tenant, kind=kind)
    for operation in sorted(
        {series.operation for series in recording.series},
        key=lambda name: (kind_of(name) != "writes", name),
    ):
        yield Row(f"  {operation}", operation=operation)


def _figures(recording: Recording, row: Row) -> dict[str, Any]:
    wanted: Any = {"tenant": row.tenant, "kind": row.kind, "operation": row.operation}
    histogram = recording.histogram(**wanted)
    found: dict[str, Any] = {
        "requests": histogram.count,
        "per_second": round(histogram.count / max(recording.seconds, 0.001), 1),
        "errors": recording.errors_of(**wanted),
    }
    for name, percent in PERCENTILES.items():
        time_ms = histogram.percentile(percent)
        found[name] = None if time_ms is None else round(time_ms, 2)
    return found | {"max_ms": round(histogram.max_ms, 2)}


def _measured(recording: Recording, tenant: str | None) -> Measured:
    return Measured(
        recording.histogram(tenant=tenant).count,
        recording.errors_of(tenant=tenant),
        {kind: recording.histogram(tenant=tenant, kind=kind).percentile(99) for kind in P99_MS_MAX},
    )


def _warnings(figures: dict[str, Any], recording: Recording, offered: int) -> list[str]:
    found = []
    if figures["per_second"] * 100 < offered * OFFERED_SHARE_MIN_PERCENT:
        found.append(
            f"only {figures['per_second']:.0f} of the {offered} requests a second that were"
            " offered were sent: the users waited for answers, or locust had too little processor"
        )
    if recording.is_generator_busy:
        found.append("locust had too little processor: take fewer users, or trust no percentile")
    if recording.final_balances_checked == 0:
        found.append("no balance was read after the run")
    return found


def _tenants(recording: Recording) -> list[str]:
    return sorted({series.tenant for series in recording.series})


def _percentile_names() -> str:
    names = ("p50 ms", "p95 ms", "p99 ms", "p99.9 ms")
    return "".join(f"{name:>10}" for name in names)


def _shown(time_ms: float | None) -> str:
    return "-" if time_ms is None else f"{time_ms:.1f}"
