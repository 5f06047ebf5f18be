"""What `hpts top` shows of two looks at a server: tables, most of them one line a thing.

Nothing here reads a clock or a socket.
"""

from collections.abc import Callable, Iterable

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hpts.top.scrape import Growth

ROWS_MAX = 8
FRAMED_ROWS_MIN = 3
"""With room for fewer rows the frames go first."""
REQUESTS = "hpts_request_seconds"
CLASSES = (("writes", "write_latency", 0.1), ("reads", "read_latency", 0.3))
STEPS = (("first pipeline", "open"), ("rules, kernel", "decide"), ("commit", "commit"))


def render_within(console: Console, url: str, growth: Growth) -> RenderableType:
    """As much as the terminal has lines for: the lags at the end are there in any case."""
    sizes = [(rows, True) for rows in range(ROWS_MAX, FRAMED_ROWS_MIN - 1, -1)]
    sizes += [(rows, False) for rows in range(ROWS_MAX, 0, -1)]
    for rows, is_framed in sizes:
        found = render(url, growth, rows=rows, is_framed=is_framed)
        if len(console.render_lines(found)) <= console.height:
            break
    return found


def render(
    url: str, growth: Growth, *, rows: int = ROWS_MAX, is_framed: bool = True
) -> RenderableType:
    """The whole screen, with at most `rows` routes and tenants."""
    part = _panel if is_framed else _titled
    between = [""] if is_framed else []
    return Group(
        _head(url, growth),
        part("Requests", _requests(growth, rows)),
        part("Lanes and batches", Group(_lanes(growth, rows), *between, _batches(growth))),
        part("Database and books", _database(growth)),
    )


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim")


def _titled(title: str, content: RenderableType) -> Group:
    return Group(Text(title, style="bold"), content)


def _table(*columns: str) -> Table:
    """The first column is what a row is about; the others are numbers."""
    table = Table(box=None, expand=True, header_style="dim", pad_edge=False)
    table.add_column(columns[0], ratio=2, no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _head(url: str, growth: Growth) -> Text:
    now = growth.now
    text = Text()
    text.append("HPTS ", style="bold")
    text.append(url, style="cyan")
    text.append(f"   {now.sum('hpts_workers'):.0f} workers")
    silence = now.max("hpts_worker_silence_seconds") or 0.0
    if silence > 2:
        text.append(f"   a worker is silent for {silence:.0f} s", style="bold red")
    if not now.sum("hpts_database_up"):
        text.append("   the database does not answer", style="bold red")
    if growth.before is None:
        text.append("   since the server's start, the last seconds follow", style="dim")
    text.append("\n")
    for _, slo, _ in (*CLASSES, ("", "availability", 0)):
        burn = _burn(growth, slo)
        if burn is not None:
            style = "red" if burn > 14.4 else "yellow" if burn > 1 else "green"
            text.append(f"{slo} uses ", style="dim")
            text.append(f"{burn:.1f}x", style=style)
            text.append(" of its budget   ", style="dim")
    return text


def _burn(growth: Growth, slo: str) -> float | None:
    """How many times faster than it may the objective's error budget is used up."""
    requests = growth.of("hpts_slo_requests_total", slo=slo)
    budget = 1 - _target(growth, slo)
    misses = growth.of("hpts_slo_misses_total", slo=slo)
    return None if requests <= 0 or budget <= 0 else misses / requests / budget


def _target(growth: Growth, slo: str) -> float:
    return next((series.value for series in growth.now.find("hpts_slo_target", slo=slo)), 1.0)


def _requests(growth: Growth, rows: int) -> RenderableType:
    table = _table("route", "rate/s", "p50", "p99", "4xx", "5xx")
    routes = dict.fromkeys(
        (series.labels["method"], series.labels["route"])
        for series in growth.now.find(f"{REQUESTS}_count")
    )
    busy = [(growth.of(f"{REQUESTS}_count", method=m, route=r), m, r) for m, r in routes]
    for count, method, route in sorted(busy, reverse=True)[:rows]:
        if count > 0:
            labels = {"method": method, "route": route}
            limit = CLASSES[0][2] if method == "POST" else CLASSES[1][2]
            table.add_row(
                f"{method} {route}",
                _number(growth.rate(f"{REQUESTS}_count", **labels), count),
                _seconds(growth.quantile(0.5, REQUESTS, **labels)),
                _seconds(growth.quantile(0.99, REQUESTS, **labels), limit),
                _count(_by_class(growth, "4", labels)),
                _count(_by_class(growth, "5", labels), "red"),
            )
    if not table.row_count:
        return Text("no requests", style="dim")
    refused = [
        (growth.of("hpts_refusals_total", code=code), code)
        for code in growth.now.values_of("hpts_refusals_total", "code")
    ]
    said = ", ".join(
        f"{code} {count:.0f}" for count, code in sorted(refused, reverse=True) if count
    )
    return Group(table, Text(f"refused: {said}", style="dim")) if said else table


def _by_class(growth: Growth, first: str, labels: dict[str, str]) -> float:
    statuses = growth.now.values_of(f"{REQUESTS}_count", "status")
    return sum(
        growth.of(f"{REQUESTS}_count", **labels, status=status)
        for status in statuses
        if status.startswith(first)
    )


def _lanes(growth: Growth, rows: int) -> RenderableType:
    table = _table("tenant", "waiting", "posted/s", "wait p50", "wait p99")
    tenants = growth.now.values_of("hpts_lane_depth", "tenant")
    wait = "hpts_lane_wait_seconds"

    def by_load(tenant: str) -> tuple[float, float]:
        depth = growth.now.sum("hpts_lane_depth", tenant=tenant)
        return depth, growth.of(f"{wait}_count", tenant=tenant)

    for tenant in sorted(tenants, key=by_load, reverse=True)[:rows]:
        depth, posted = by_load(tenant)
        if depth or posted > 0:
            table.add_row(
                tenant,
                f"{depth:.0f}",
                _number(growth.rate(f"{wait}_count", tenant=tenant), posted),
                _seconds(growth.quantile(0.5, wait, tenant=tenant)),
                _seconds(growth.quantile(0.99, wait, tenant=tenant)),
            )
    return table if table.row_count else Text("no postings wait or were posted", style="dim")


def _batches(growth: Growth) -> RenderableType:
    table = _table("batches", "rate/s", "size", *(f"{step} p99" for step, _ in STEPS))
    for lane in growth.now.values_of("hpts_batch_postings_count", "lane"):
        count = growth.of("hpts_batch_postings_count", lane=lane)
        if count > 0:
            size = growth.mean("hpts_batch_postings", lane=lane)
            table.add_row(
                lane,
                _number(growth.rate("hpts_batch_postings_count", lane=lane), count),
                "" if size is None else f"{size:.1f}",
                *(
                    _seconds(growth.quantile(0.99, f"hpts_batch_{step}_seconds", lane=lane))
                    for _, step in STEPS
                ),
            )
    notes = {
        "replays": growth.of("hpts_replays_total"),
        "met a busy loan": growth.of("hpts_busy_postings_total"),
        "failed": growth.of("hpts_batch_failures_total"),
    }
    said = ", ".join(f"{count:.0f} {name}" for name, count in notes.items() if count > 0)
    shown: list[RenderableType] = [table] if table.row_count else []
    return Group(*shown, *([Text(said, style="dim")] if said else []))


def _database(growth: Growth) -> RenderableType:
    now = growth.now
    table = Table.grid(padding=(0, 3))
    for pool in now.values_of("hpts_pool_connections", "pool"):
        states = (
            f"{now.sum('hpts_pool_connections', pool=pool, state=state):.0f} {state}"
            for state in now.values_of("hpts_pool_connections", "state")
        )
        table.add_row(pool, ", ".join(states))
    late = growth.quantile(0.99, "hpts_loop_delay_seconds")
    table.add_row("event loops", "" if late is None else f"{late * 1000:.1f} ms late (p99)")
    standbys = list(now.find("hpts_standby_lag_bytes"))
    for series in standbys:
        behind = now.sum("hpts_standby_lag_seconds", standby=series.labels["standby"])
        said = f"{series.value / 1e6:.1f} MB, {behind:.1f} s behind"
        table.add_row(f"standby {series.labels['standby']}", said)
    if not standbys:
        table.add_row("standbys", Text("none seen", style="dim"))
    for name, what, show in BOOKS:
        worst = now.max(name)
        if worst is not None:
            table.add_row(what, show(worst))
    return table


def _late(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _drift(count: float) -> Text:
    return Text("none", style="green") if not count else Text(f"{count:.0f}", style="bold red")


def _versions(per_row: float) -> Text:
    return Text(f"{per_row:,.0f}", style="bold red" if per_row > DEAD_VERSIONS_MANY else "")


DEAD_VERSIONS_MANY = 10_000
"""As the alert HptsSnapshotIsHeld of deploy/grafana has it: payments are half as fast by then."""
BOOKS: Iterable[tuple[str, str, Callable[[float], RenderableType]]] = (
    ("hpts_dead_versions_per_row", "dead versions of a row", _versions),
    ("hpts_reconciliation_age_seconds", "oldest reconciliation", _age),
    ("hpts_reconciliation_mismatched_accounts", "accounts that drifted", _drift),
    ("hpts_relay_lag_seconds", "slowest webhook endpoint behind", _late),
    ("hpts_relay_parked", "deliveries parked", _drift),
)


def _number(rate: float | None, count: float) -> str:
    """The rate, or without one the number since the start in brackets."""
    return f"({count:,.0f})" if rate is None else f"{rate:,.1f}"


def _count(number: float, style: str = "") -> Text:
    return Text(f"{number:.0f}" if number > 0 else "", style=style)


def _seconds(seconds: float | None, limit: float | None = None) -> Text:
    if seconds is None:
        return Text("")
    style = "red" if limit is not None and seconds > limit else ""
    return Text(f"{seconds * 1000:.1f} ms", style=style)
