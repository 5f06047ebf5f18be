"""The run as a whole: agreement answers 0, and each kind of disagreement is named and answers 1."""

import asyncio
import io
import re
from datetime import UTC, date, datetime

import pytest

from hpts.demo.errors import DemoError
from hpts.demo.portfolio import build_portfolio
from hpts.demo.run import DemoOptions, run_demo, run_portfolio

from .fake_ledger import FakeLedger

SEED = 6
"""Draws a loan in two tranches and a returned payment even in the small portfolios used here."""


def run_on(ledger: FakeLedger, loans: int = 12) -> tuple[int, str]:
    print(f"seed={SEED}")
    portfolio = build_portfolio(
        tenant_id="0197a000-0000-7000-8000-000000000001",
        seed=SEED,
        loan_count=loans,
        months=2,
        last_day=date(2026, 3, 14),
    )
    out = io.StringIO()
    return asyncio.run(run_portfolio(ledger, portfolio, out)), out.getvalue()


def test_a_ledger_that_keeps_the_rules_agrees():
    ledger = FakeLedger()
    status, shown = run_on(ledger)
    assert status == 0, shown
    assert "All agree." in shown
    assert "100 %" in shown
    assert {path for path, _, _ in ledger.requests} == {
        "/disbursements",
        "/payments",
        "/accruals/batch",
        "/reversals",
    }
    for currency in ("USD", "EUR", "JPY"):
        table = shown.split(f"Trial balance {currency}\n")[1].split("\n\n")[0]
        totals = re.search(r"total +(\S+) +(\S+)$", table, re.MULTILINE)
        assert totals[1] == totals[2]
        assert ("." in totals[1]) == (currency != "JPY")


def test_a_loans_accrual_of_a_day_is_posted_before_that_days_payments():
    ledger = FakeLedger()
    run_on(ledger)
    accrued: dict[str, str] = {}
    for path, _, request in ledger.requests:
        if path == "/accruals/batch":
            accrued |= {share["loan_id"]: request["accrual_date"] for share in request["loans"]}
        elif path == "/payments":
            assert accrued[request["loan_id"]] >= request["effective_at"]


def test_two_runs_of_one_seed_send_the_same_requests():
    first, second = FakeLedger(), FakeLedger()
    run_on(first)
    run_on(second)
    assert sorted(first.requests, key=str) == sorted(second.requests, key=str)


def add_one(field: str):
    def change(reply: dict) -> None:
        reply[field] = str(int(reply[field]) + 1)

    return change


def change_allocation(reply: dict) -> None:
    reply["allocation"]["suspense_minor"] = "77"


def change_line(page: dict) -> None:
    page["items"][0]["lines"][0]["direction"] = "??"


def report_drift(status: dict) -> None:
    status["ledger_integrity"]["status"] = "drift_detected"


@pytest.mark.parametrize(
    ("path", "change", "named"),
    [
        (r"/payments", change_allocation, "reply to payment:"),
        (r"/accruals/batch", add_one("total_accrued_minor"), "reply to accrual:"),
        (r"/accruals/batch", lambda r: r.update(loan_count=999), "reply to accrual:"),
        (r"/loans/[^/]*/balance$", add_one("interest_receivable_minor"), "loan "),
        (r"/loans/.*as_of_date", add_one("principal_outstanding_minor"), "as of 20"),
        (r"/loans/.*journal", lambda page: page["items"].pop(), "entry count"),
        (r"/loans/.*journal", change_line, "journal of loan"),
        (
            r"/accounts/3000.*JPY$",
            add_one("normal_balance_minor"),
            "normal balance of account 3000",
        ),
        (r"/accounts/1200.*as_of_date", add_one("dr_balance_minor"), "account 1200 USD as of"),
        (r"/reconciliation", report_drift, "ledger integrity"),
    ],
)
def test_a_disagreement_is_named_and_answers_1(path, change, named):
    def tamper(asked: str, reply: dict) -> None:
        if re.match(path, asked):
            change(reply)

    status, shown = run_on(FakeLedger(tamper), loans=6)
    assert status == 1
    assert re.search(f"DISAGREEMENT .*{named}", shown), shown


def test_a_debit_that_vanishes_from_an_account_is_named_by_account_and_column():
    ledger: FakeLedger

    def tamper(asked: str, reply: dict) -> None:
        if asked == "/accounts/1000/balance?currency=USD" and ledger.entries:
            reply["dr_balance_minor"] = str(int(reply["dr_balance_minor"]) - 1)

    ledger = FakeLedger(tamper)
    status, shown = run_on(ledger)
    assert status == 1
    assert "DISAGREEMENT account 1000 USD" in shown
    assert "DISAGREEMENT trial balance USD" in shown


def test_a_used_tenant_is_refused_before_anything_is_posted():
    ledger = FakeLedger()
    ledger._book("entry", "disbursement", "2020-01-01", "USD", [("1100", "DR", 1, None)])
    with pytest.raises(DemoError, match="fresh tenant"):
        run_on(ledger)
    assert ledger.requests == []


def test_a_server_that_is_away_stops_the_demo_with_a_message(monkeypatch):
    monkeypatch.setattr("hpts.demo.client.ATTEMPTS_MAX", 2)
    out = io.StringIO()
    token = "h.eyJ0ZW5hbnRfaWQiOiIwMTk3YTAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEifQ.s"
    options = DemoOptions(
        base_url="http://127.0.0.1:9", token=token, loans=1, months=1, today=date(2026, 3, 15)
    )
    assert run_demo(options, out) == 1
    assert "The demo stopped: GET /accounts/1000/balance" in out.getvalue()


def test_the_demo_agrees_with_a_real_server(server, new_tenant, issue_token):
    print(f"seed={SEED}")
    out = io.StringIO()
    options = DemoOptions(
        base_url=server.base_url,
        token=issue_token(new_tenant()),
        loans=12,
        months=2,
        seed=SEED,
        today=datetime.now(UTC).date(),
    )
    status = run_demo(options, out)
    assert status == 0, out.getvalue()
    assert "All agree." in out.getvalue()
    assert "Trial balance JPY" in out.getvalue()
    assert "ledger integrity   ok" in out.getvalue()
    assert re.search(r"[1-9][0-9,]* postings \(.* postings/s", out.getvalue())
