"""Locust's part: opens the loans, lets the users send exchanges, reads the balances at the end.

`python -m loadtest` starts it with a plan in LOADTEST_PLAN; gevent patches this process, so nothing
else imports it.
"""

import os
import random
import secrets
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent.pool import Pool
from geventhttpclient import HTTPClient
from locust import FastHttpUser, events, task
from locust.env import Environment

from loadtest.answers import Answer, WrongAnswer
from loadtest.exchanges import Exchange, Lender
from loadtest.recorder import Recorder, RunPlan, TenantPlan
from loadtest.scenarios import ACCRUAL_SECONDS, REQUESTS_PER_USER_SECOND, SCENARIOS, Deck, Pace

ANSWER_SECONDS_MAX = 10
FINAL_BALANCES_MAX = 200
FINAL_SECONDS_MAX = 15
CONNECTIONS_BESIDE = 16
"""For what is done before and after the run."""

PLAN = msgspec.json.decode(Path(os.environ["LOADTEST_PLAN"]).read_bytes(), type=RunPlan)
SCENARIO = SCENARIOS[PLAN.scenario]
# A seed of its own for every run: equal loans and keys would be replays on a server already used.
LENDERS = {
    tenant.name: Lender(tenant.name, [], seed=secrets.randbits(64), today=datetime.now(UTC).date())
    for tenant in PLAN.tenants
}
RECORDER = Recorder(PLAN.seconds)


class TenantUser(FastHttpUser):
    """Sends one exchange after another for its tenant."""

    abstract = True
    host = PLAN.base_url
    connection_timeout = network_timeout = ANSWER_SECONDS_MAX
    interval_seconds = 1 / REQUESTS_PER_USER_SECOND
    tenant: TenantPlan
    deck: Deck

    def on_start(self) -> None:
        delay_seconds = random.random() / REQUESTS_PER_USER_SECOND
        self._pace = Pace(self.interval_seconds, time.monotonic() + delay_seconds)
        gevent.sleep(delay_seconds)

    def wait_time(self) -> float:
        return self._pace.wait_seconds(time.monotonic())

    @task
    def act(self) -> None:
        self.send(getattr(LENDERS[self.tenant.name], self.deck.draw())())

    def send(self, exchange: Exchange) -> None:
        with self.client.request(
            exchange.method,
            exchange.path,
            name=exchange.operation,
            data=exchange.body.decode() or None,
            headers=_headers(self.tenant, exchange),
            catch_response=True,
            context={"tenant": self.tenant.name},
        ) as response:
            try:
                exchange.check(_answer(response.status_code, response.headers, response.content))
            except WrongAnswer as wrong:
                response.failure(str(wrong))
            else:
                response.success()


class Accruer(TenantUser):
    """One user that posts an accrual batch every few seconds, beside the others."""

    abstract = not SCENARIO.has_accruals
    fixed_count = 1
    interval_seconds = ACCRUAL_SECONDS
    tenant = PLAN.tenants[0]
    deck = Deck({"accrual": 1}, 0)


def _user_class(name: str, tenant: TenantPlan, share: int, deck: Deck) -> type[TenantUser]:
    fields: dict[str, Any] = {"abstract": False, "tenant": tenant, "weight": share, "deck": deck}
    return type(name, (TenantUser,), fields)


def _user_classes() -> Iterator[type[TenantUser]]:
    plans = {tenant.name: tenant for tenant in PLAN.tenants}
    for role in SCENARIO.roles:
        deck = Deck(role.deck, secrets.randbits(64))
        yield _user_class(role.name, plans[role.tenant], role.share, deck)


# Locust takes the users it finds among the module's names.
globals().update({user_class.__name__: user_class for user_class in _user_classes()})


@events.init.add_listener
def open_loans(**_: Any) -> None:
    """Before the clock of the run starts. A failure ends the process."""
    for tenant in PLAN.tenants:
        lender = LENDERS[tenant.name]
        opening = (
            lender.disbursement(amount_minor=SCENARIO.principal_minor)
            for _ in range(SCENARIO.loans)
        )
        for error in filter(None, _exchange_all(tenant, opening)):
            raise SystemExit(f"cannot open the loans: {error}")


@events.test_start.add_listener
def start_recording(**_: Any) -> None:
    RECORDER.start()


@events.request.add_listener
def record(
    name: str,
    response_time: float,
    exception: BaseException | None,
    context: dict[str, str],
    **_: Any,
) -> None:
    error = None if exception is None else str(exception)
    RECORDER.record(context["tenant"], name, response_time, error)


@events.test_stopping.add_listener
def stop_recording(**_: Any) -> None:
    RECORDER.stop()


@events.test_stop.add_listener
def read_final_balances(environment: Environment, **_: Any) -> None:
    """Nothing is under way now, so what the loans owe is known exactly."""
    with gevent.Timeout(FINAL_SECONDS_MAX, False):
        for tenant in PLAN.tenants:
            lender = LENDERS[tenant.name]
            count = min(FINAL_BALANCES_MAX, len(lender.loans))
            asked = (lender.balance(loan) for loan in random.sample(lender.loans, count))
            for error in _exchange_all(tenant, asked):
                RECORDER.record_final_balance(tenant.name, error)
    runner = environment.runner
    RECORDER.write(
        Path(PLAN.result), is_generator_busy=runner is not None and runner.cpu_warning_emitted
    )


def _exchange_all(tenant: TenantPlan, exchanges: Iterable[Exchange]) -> Iterator[str | None]:
    """What is wrong with each answer; None for nothing."""
    client = HTTPClient.from_url(
        PLAN.base_url,
        concurrency=CONNECTIONS_BESIDE,
        connection_timeout=ANSWER_SECONDS_MAX,
        network_timeout=ANSWER_SECONDS_MAX,
    )

    def exchange_one(exchange: Exchange) -> str | None:
        try:
            response = client.request(
                exchange.method, exchange.path, exchange.body, _headers(tenant, exchange)
            )
            exchange.check(_answer(response.status_code, response, response.read()))
        except WrongAnswer as wrong:
            return str(wrong)
        except (OSError, HTTPException) as error:
            return f"no answer ({error})"
        return None

    pool = Pool(CONNECTIONS_BESIDE)
    try:
        yield from pool.imap_unordered(exchange_one, exchanges)
    finally:
        pool.kill()
        client.close()


def _headers(tenant: TenantPlan, exchange: Exchange) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {tenant.token}"}
    if exchange.key is not None:
        headers["Content-Type"] = "application/json"
        headers["Idempotency-Key"] = exchange.key
    return headers


def _answer(status: int, headers: Any, body: bytes | None) -> Answer:
    if not status or headers is None:
        return Answer(0, {}, b"")
    found = {str(name).lower(): str(value) for name, value in headers.items()}
    return Answer(status, found, body or b"")
