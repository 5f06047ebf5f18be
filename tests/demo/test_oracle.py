"""The oracle: what the ledger should say, by the contract's rules."""

from datetime import date

import pytest

from hpts.demo.oracle import Components, Entry, Line, Oracle, allocate, mirror

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 3, day) for day in (2, 3, 4))


def entry(key: str, day: date, *lines: Line) -> Entry:
    return Entry(key=key, event_type="test", currency="USD", effective_at=day, lines=lines)


def lent(day: date = MONDAY, amount: int = 1000) -> Entry:
    return entry(
        "lent", day, Line("1100", "DR", amount, "loan"), Line("2000", "CR", amount, "loan")
    )


def repaid(day: date, amount: int) -> Entry:
    return entry(
        "repaid", day, Line("1000", "DR", amount, "loan"), Line("1100", "CR", amount, "loan")
    )


@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        (3, (3, 0, 0, 0)),
        (5, (5, 0, 0, 0)),
        (9, (5, 4, 0, 0)),
        (16, (5, 10, 1, 0)),
        (115, (5, 10, 100, 0)),
        (120, (5, 10, 100, 5)),
    ],
)
def test_fees_are_paid_before_interest_before_principal_and_the_rest_is_suspense(amount, parts):
    owed = Components(fees_minor=5, interest_minor=10, principal_minor=100)
    assert allocate(owed, amount) == parts


def test_entries_change_components_and_totals():
    oracle = Oracle()
    oracle.post(lent())
    oracle.post(repaid(TUESDAY, 400))
    assert oracle.loans["loan"] == Components(principal_minor=600)
    totals = oracle.account("1100", "USD")
    assert (totals.debits_minor, totals.credits_minor) == (1000, 400)
    assert oracle.account("1100", "EUR").debits_minor == 0


def test_a_reversal_restores_the_components_and_adds_to_both_sides():
    oracle = Oracle()
    payment = repaid(TUESDAY, 400)
    oracle.post(lent())
    oracle.post(payment)
    oracle.post(entry("back", WEDNESDAY, *mirror(payment.lines)))
    assert oracle.loans["loan"].principal_minor == 1000
    totals = oracle.account("1100", "USD")
    assert (totals.debits_minor, totals.credits_minor) == (1400, 400)


def test_a_past_day_goes_by_effective_date_and_may_be_negative_after_backdating():
    oracle = Oracle(audited=["loan"])
    oracle.post(lent(TUESDAY))
    oracle.post(repaid(MONDAY, 400))
    assert oracle.loan_as_of("loan", MONDAY).principal_minor == -400
    assert oracle.loan_as_of("loan", TUESDAY).principal_minor == 600
    assert oracle.account("1000", "USD", as_of=MONDAY).debits_minor == 400
    assert oracle.account("2000", "USD", as_of=MONDAY).credits_minor == 0


def test_an_audited_journal_holds_only_the_loans_own_lines():
    oracle = Oracle(audited=["loan"])
    lines = (Line("1200", "DR", 2, "loan"), Line("1200", "DR", 3, "other"))
    oracle.post(entry("accrual", MONDAY, *lines, Line("4000", "CR", 5, None)))
    (recorded,) = oracle.journals["loan"]
    assert recorded.lines == lines[:1]


def test_an_unbalanced_entry_or_a_component_below_zero_is_a_fault_of_the_demo():
    oracle = Oracle()
    with pytest.raises(ValueError, match="differ"):
        oracle.post(entry("bad", MONDAY, Line("1100", "DR", 1, "loan")))
    with pytest.raises(ValueError, match="below zero"):
        oracle.post(repaid(MONDAY, 1))
