"""Reconciliation over HTTP: one run at a time for whoever asks, and a database that is away."""

import asyncio
import datetime
import threading

import pytest

from hpts.domain.limits import RECONCILIATIONS_PER_TENANT_MAX
from hpts.http import reconciliation
from hpts.http.auth import Principal
from hpts.http.messages import Request, Response
from hpts.http.problems import ProblemRaised
from hpts.http.reconciliation import Reconciler
from hpts.store.reconcile import Reconciliation
from hpts.store.tenancy import TenantUnknown
from tests.http.asgi import answer, request_of

AWAY = "host=127.0.0.1 port=1 user=nobody dbname=nothing connect_timeout=2"
FOUND = Reconciliation(
    as_of_date=datetime.date(2026, 11, 20),
    checked_at=datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC),
    mismatched_account_count=2,
    gl_principal_minor=None,
    sum_of_loan_balances_minor=7,
    principal_drifted=True,
)


async def active(tenant_id: bytes) -> None:
    """As the database answers for a tenant that is served."""


async def ask(reconciler: Reconciler, request: Request) -> Response:
    request.principal = Principal(b"t" * 16, "t", "teller", frozenset(), 0.0)
    return await reconciler.get_reconciliation_status(request)


def test_a_database_that_is_away_is_503_and_nothing_of_it_is_shown() -> None:
    found = answer(lambda request: ask(Reconciler(AWAY, active), request))
    assert found.problem["code"] == "database_unavailable"
    assert b"127.0.0.1" not in found.body


def test_whoever_asks_while_it_runs_shares_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, may_end = [], threading.Event()

    def reconcile(*asked: object) -> Reconciliation:
        runs.append(asked)
        may_end.wait(30)
        return FOUND

    monkeypatch.setattr(reconciliation, "reconcile", reconcile)

    async def ask_thrice() -> list[Response]:
        reconciler = Reconciler("", active)
        requests = [request_of() for _ in range(3)]
        asking = [asyncio.ensure_future(ask(reconciler, request)) for request in requests]
        await asyncio.sleep(0.05)
        asking[0].cancel()  # one that hangs up takes nobody else's result away
        may_end.set()
        return await asyncio.gather(*asking[1:])

    first, second = asyncio.run(ask_thrice())
    assert len(runs) == 1
    assert (
        first.body
        == second.body
        == (
            b'{"as_of_date":"2026-11-20","ledger_integrity":{"status":"drift_detected",'
            b'"mismatched_account_count":2,"checked_at":"2026-11-20T12:00:00.000000Z"},'
            b'"bank_reconciliation":[],"portfolio_rollup":{"status":"drift_detected",'
            b'"sum_of_loan_balances_minor":"7"}}'
        )
    )


def test_a_tenant_may_have_only_a_few_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()

    def reconcile(*_: object) -> Reconciliation:
        may_end.wait(30)
        return FOUND

    monkeypatch.setattr(reconciliation, "reconcile", reconcile)

    async def ask_for_many_days() -> list[Response | BaseException]:
        reconciler = Reconciler("", active)
        days = range(1, RECONCILIATIONS_PER_TENANT_MAX + 3)
        queries = [b"as_of_date=2026-01-%02d" % day for day in days]
        requests = [request_of(query=query) for query in queries]
        asking = [asyncio.ensure_future(ask(reconciler, request)) for request in requests]
        await asyncio.sleep(0.05)
        may_end.set()
        return await asyncio.gather(*asking, return_exceptions=True)

    found = asyncio.run(ask_for_many_days())
    refused = [one for one in found if isinstance(one, ProblemRaised)]
    assert [one.code for one in refused] == ["overloaded"] * 2


def test_a_tenant_suspended_meanwhile_is_refused_though_the_result_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever shares a run that began before the suspension must not get its result."""
    monkeypatch.setattr(reconciliation, "reconcile", lambda *asked: FOUND)

    async def suspended(tenant_id: bytes) -> None:
        assert tenant_id == b"t" * 16
        raise TenantUnknown

    found = answer(lambda request: ask(Reconciler("", suspended), request))
    assert found.problem["code"] == "tenant_unknown"
