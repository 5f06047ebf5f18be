"""A total or a loan that is not what the lines add up to is found, and the finding names it."""

import pytest

from .verify_story import OF_LOAN, STRANGER, TWO, Story


@pytest.mark.parametrize("side", ["debit_minor", "credit_minor"])
@pytest.mark.parametrize("table", ["account_totals", "account_month_totals", "account_day_totals"])
def test_a_changed_total_is_found(story: Story, table: str, side: str) -> None:
    day = story.lent_on
    which, row = {
        "account_totals": ("", ""),
        "account_month_totals": ("AND month <= %(day)s", f" {day.replace(day=1)}"),
        "account_day_totals": ("AND effective_at = %(day)s", f" {day}"),
    }[table]
    story.tamper(
        f"UPDATE {table} SET {side} = {side} + 1 WHERE tenant_id = %(tenant)s"
        f" AND account_code = 2000 AND currency = 'USD' {which}",
        day=day,
    )
    assert story.found() == {table: f"{table} 2000 USD S{row}"}


def test_a_deleted_total_is_found(story: Story) -> None:
    story.tamper(
        "DELETE FROM account_totals WHERE tenant_id = %(tenant)s AND account_code = 1000"
        " AND currency = 'EUR'"
    )
    assert story.found() == {"account_totals": "account_totals 1000 EUR S"}


def test_a_total_without_lines_is_found(story: Story) -> None:
    story.tamper(
        "INSERT INTO account_day_totals VALUES"
        " (%(tenant)s, 9000, 'JPY', 'E', '2026-01-31', 7, 5, 5)"
    )
    assert story.found() == {"account_day_totals": "account_day_totals 9000 JPY E 2026-01-31"}


@pytest.mark.parametrize(
    "change",
    [
        "principal_minor = principal_minor + 1",
        "interest_minor = interest_minor + 1",
        "fees_minor = fees_minor + 1",
        "currency = 'CHF'",
        "accrued_through = accrued_through + 1",
        "accrued_through = NULL",
        "last_activity_at = last_activity_at + interval '1 microsecond'",
    ],
)
def test_a_changed_loan_is_found(story: Story, change: str) -> None:
    story.tamper(f"UPDATE loans SET {change} {OF_LOAN}", loan=TWO)
    assert story.found() == {"loans": f"loans {TWO}"}


def test_a_deleted_loan_is_found(story: Story) -> None:
    story.tamper(f"DELETE FROM loans {OF_LOAN}", loan=TWO)
    assert story.found() == {"loans": f"loans {TWO}"}


def test_a_loan_without_lines_is_found(story: Story) -> None:
    story.tamper(
        "INSERT INTO loans VALUES (%(tenant)s, %(loan)s, %(loan)s, 'USD', 0, 0, 0, NULL, now())",
        loan=STRANGER,
    )
    assert story.found() == {"loans": f"loans {STRANGER}"}
