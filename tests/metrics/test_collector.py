"""What Prometheus is shown of the counts: cumulative buckets, objectives, valid text."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hpts.http.request_meters import OBJECTIVES, REQUESTS, UNTIMED, note_request
from hpts.http.routes import ROUTES, Route
from hpts.meters import METERS
from hpts.metrics.collector import WorkersCollector

BY_ID = {route.operation_id: route for route in ROUTES}
PAYMENT, BALANCE = BY_ID["postPayment"], BY_ID["getLoanBalance"]
RECONCILIATION, READINESS = BY_ID["getReconciliationStatus"], BY_ID["getReadiness"]
Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape() -> Found:
    """Every sample by name and labels, read from the text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkersCollector())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def grown() -> Iterator["Growth"]:
    yield Growth()


class Growth:
    """What counts have grown by since it was made."""

    def __init__(self) -> None:
        self._before = scrape()

    def of(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return scrape().get(key, 0.0) - self._before.get(key, 0.0)


def test_a_request_is_counted_by_route_and_status(grown: Growth) -> None:
    labels = {"method": "POST", "route": "/v1/payments", "status": "201"}
    note_request(PAYMENT, 201, None, 0.03)
    note_request(PAYMENT, 201, None, 0.1)
    note_request(PAYMENT, 200, None, 0.04)
    assert grown.of("hpts_request_seconds_count", **labels) == 2
    assert grown.of("hpts_request_seconds_sum", **labels) == pytest.approx(0.13)
    buckets = {le: grown.of("hpts_request_seconds_bucket", le=le, **labels) for le in LE}
    assert buckets == {"0.025": 0, "0.05": 1, "0.1": 2, "0.3": 2, "+Inf": 2}


LE = ("0.025", "0.05", "0.1", "0.3", "+Inf")


@pytest.mark.parametrize(
    ("route", "status"),
    [(None, 404), (Route("GET", "/v1/none", "noSuchOperation", None), 404)],
)
def test_what_has_no_route_is_counted_as_other(
    grown: Growth, route: Route | None, status: int
) -> None:
    note_request(route, status, "not_found", 0.001)
    labels = {"method": "other", "route": "other", "status": str(status)}
    assert grown.of("hpts_request_seconds_count", **labels) == 1
    assert grown.of("hpts_refusals_total", code="not_found") == 1


def test_a_status_that_no_route_has_is_counted_as_other(grown: Growth) -> None:
    note_request(PAYMENT, 418, None, 0.001)
    labels = {"method": "POST", "route": "/v1/payments", "status": "other"}
    assert grown.of("hpts_request_seconds_count", **labels) == 1


@pytest.mark.parametrize(
    ("route", "status", "seconds", "counted", "missed"),
    [
        (PAYMENT, 201, 0.1, {"write_latency", "availability"}, set()),
        (PAYMENT, 201, 0.1001, {"write_latency", "availability"}, {"write_latency"}),
        (PAYMENT, 422, 0.2, {"write_latency", "availability"}, {"write_latency"}),
        (PAYMENT, 503, 5.0, {"availability"}, {"availability"}),
        (BALANCE, 200, 0.3, {"read_latency", "availability"}, set()),
        (BALANCE, 200, 0.31, {"read_latency", "availability"}, {"read_latency"}),
        (BALANCE, 500, 0.01, {"availability"}, {"availability"}),
        (RECONCILIATION, 200, 9.0, {"availability"}, set()),
        (READINESS, 503, 0.01, set(), set()),
        (None, 404, 0.01, set(), set()),
    ],
)
def test_objectives_count_what_they_are_about_and_what_missed_them(
    grown: Growth,
    route: Route | None,
    status: int,
    seconds: float,
    counted: set[str],
    missed: set[str],
) -> None:
    note_request(route, status, None, seconds)
    names = [objective.name for objective in OBJECTIVES]
    assert {name for name in names if grown.of("hpts_slo_requests_total", slo=name)} == counted
    assert {name for name in names if grown.of("hpts_slo_misses_total", slo=name)} == missed


def test_the_objectives_are_those_that_were_promised() -> None:
    promised = {objective.name: (objective.target, objective.seconds) for objective in OBJECTIVES}
    assert promised == {
        "write_latency": (0.99, 0.1),
        "read_latency": (0.99, 0.3),
        "availability": (0.9995, None),
    }
    assert {0.1, 0.3} <= set(REQUESTS.bounds)


def test_every_family_is_named_as_prometheus_wants_it_and_explained() -> None:
    for family in METERS.families:
        assert family.name.startswith("hpts_")
        assert family.meaning.endswith(".")
        assert family.name.endswith("_total") == (type(family).__name__ == "Counter")


def test_what_waits_for_as_long_as_it_is_asked_is_an_operation() -> None:
    assert BY_ID.keys() >= UNTIMED
