"""What is measured of a request: how long its answer took by route and status, and why it was
refused. Which requests the service level objectives are about is said here, too.
"""

from collections.abc import Iterator
from typing import NamedTuple

from hpts.http.problems import KINDS
from hpts.http.routes import DEVELOPMENT_ROUTES, ROUTES, UNDOCUMENTED_ROUTES, Route
from hpts.meters import Counter, Histogram

WRITE_SECONDS, READ_SECONDS = 0.1, 0.3
FAST, SLOW = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05), (0.5, 1.0, 2.5, 5.0, 10.0)
BOUNDS = (*FAST, WRITE_SECONDS, 0.2, READ_SECONDS, *SLOW)
SUCCESSES = (200, 201, 202, 204, 304)
STATUSES = sorted({*SUCCESSES, *(kind.status for kind in KINDS.values())})
ALL_ROUTES = ROUTES + UNDOCUMENTED_ROUTES + DEVELOPMENT_ROUTES
NO_ROUTE = ("other", "other")
"""For a path that is not there, or a method that it does not have: a client chooses both freely."""
OTHER_STATUS = "other"

OPERATIONS = [(route.method, route.template) for route in ALL_ROUTES]
REQUESTS = Histogram(
    "hpts_request_seconds",
    "From a request's first line to its answer.",
    BOUNDS,
    ("method", "route", "status"),
    [
        (*operation, status)
        for operation in (*OPERATIONS, NO_ROUTE)
        for status in (*map(str, STATUSES), OTHER_STATUS)
    ],
)
REFUSALS = Counter(
    "hpts_refusals_total",
    "Requests that ended as a problem, by its code.",
    ("code",),
    [(code,) for code in KINDS],
)
REPLAYS = Counter(
    "hpts_replays_total", "Postings answered with the reply of an earlier one under their key."
)


class _Cells(dict[tuple[str, int], int]):
    """Where a route and status are counted; found once, then remembered."""

    def __missing__(self, key: tuple[str, int]) -> int:
        operation_id, status = key
        operation = _OPERATIONS.get(operation_id, NO_ROUTE)
        text = str(status) if status in STATUSES else OTHER_STATUS
        cell = self[key] = REQUESTS.cell_of(*operation, text)
        return cell


_OPERATIONS = {route.operation_id: (route.method, route.template) for route in ALL_ROUTES}
_cells = _Cells()
_refusals = {code: REFUSALS.cell_of(code) for code in KINDS}
_replays = REPLAYS.cell_of()


def note_request(route: Route | None, status: int, code: str | None, seconds: float) -> None:
    """A request was answered with `status`, as the problem `code` where it is one."""
    operation_id = "" if route is None else route.operation_id
    REQUESTS.observe(_cells[operation_id, status], seconds)
    if code is not None:
        REFUSALS.add(_refusals[code])


def note_replay() -> None:
    """A posting was answered with an earlier reply."""
    REPLAYS.add(_replays)


class Objective(NamedTuple):
    """A service level objective: `target` of the requests are answered well, which is within
    `seconds` or, where that is None, not with a 5xx."""

    name: str
    target: float
    seconds: float | None
    operations: frozenset[tuple[str, str]]


UNTIMED = frozenset(("listJournalEntries",))
"""Operations that wait for as long as they are asked to."""
UNTIMED_SCOPES = ("hpts:admin:", "hpts:reconciliation:")
"""Administration and reports, which go through as much as there is."""


def _operations_of_tenants() -> Iterator[tuple[str, str]]:
    """All that need a token."""
    return ((route.method, route.template) for route in ROUTES if route.scope is not None)


def _timed_operations(method: str) -> Iterator[tuple[str, str]]:
    """Those of tenants that an objective says how fast they are."""
    for route in ROUTES:
        scope = route.scope or UNTIMED_SCOPES[0]
        is_timed = route.operation_id not in UNTIMED and not scope.startswith(UNTIMED_SCOPES)
        if is_timed and route.method == method:
            yield route.method, route.template


OBJECTIVES = (
    Objective("write_latency", 0.99, WRITE_SECONDS, frozenset(_timed_operations("POST"))),
    Objective("read_latency", 0.99, READ_SECONDS, frozenset(_timed_operations("GET"))),
    Objective("availability", 0.9995, None, frozenset(_operations_of_tenants())),
)
