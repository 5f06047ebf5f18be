"""The route table finds what it was given and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.http.routes import DEVELOPMENT_ROUTES, ROUTES, UNDOCUMENTED_ROUTES, Route, RouteTable

EVERY = ROUTES + UNDOCUMENTED_ROUTES + DEVELOPMENT_ROUTES
TABLE = RouteTable(EVERY)


@pytest.mark.parametrize("route", EVERY, ids=lambda route: route.operation_id)
def test_a_route_is_found_with_its_parameter_as_it_was_written(route: Route) -> None:
    head, brace, tail = route.template.partition("{")
    parameter = "An%20Ü.1" if brace else ""
    methods, parameters = TABLE.find(head + parameter + tail.partition("}")[2]) or ({}, None)
    assert methods[route.method] == route
    assert parameters == ((parameter,) if brace else ())


def test_operations_are_named_once() -> None:
    assert len({route.operation_id for route in EVERY}) == len(EVERY)


def test_only_what_changes_nothing_or_makes_tokens_is_open_to_everybody() -> None:
    open_to_all = {route.operation_id for route in EVERY if route.scope is None}
    assert {route.operation_id for route in ROUTES if route.method == "POST"}.isdisjoint(
        open_to_all
    )
    assert {"getLiveness", "getReadiness"} == {
        route.operation_id for route in ROUTES if route.scope is None
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/payments/",
        "/v1//payments",
        "/v1/Payments",
        "/v2/payments",
        "payments",
        "/payments",
        "/v1/loans",
        "/v1/loans//balance",
        "/v1/loans/1/2/balance",
        "/v1/loans/1/balance/",
        "/v1/loan/1",
        "/v1/accounts/1000",
        "/v1/journal-entries/",
        "/v1/journal-entries/1/2",
        "/v1/accruals",
        "/v1/health",
        "/docs/",
        "/docs/../secret",
        "/docs/a/b",
        "/v1/payments\n",
    ],
)
def test_another_path_is_not_found(path: str) -> None:
    assert TABLE.find(path) is None


def test_a_parameter_that_looks_like_the_rest_of_a_path_is_a_parameter() -> None:
    methods, parameters = TABLE.find("/v1/loans/balance/balance") or ({}, ())
    assert methods["GET"].operation_id == "getLoanBalance"
    assert parameters == ("balance",)


def test_a_path_has_all_its_methods() -> None:
    table = RouteTable((Route("GET", "/x", "a", None), Route("PUT", "/x", "b", None)))
    methods, _ = table.find("/x") or ({}, ())
    assert set(methods) == {"GET", "PUT"}


@given(st.text())
def test_any_path_is_found_or_not(path: str) -> None:
    assert TABLE.find("/v2" + path) is None
    found = TABLE.find("/v1/loans/" + path)
    assert found is None or "/" not in found[1][0]
