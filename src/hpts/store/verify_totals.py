"""The numbers kept beside the journal, totals and loans, held against the lines."""

from collections import defaultdict
from collections.abc import Callable
from functools import cache

from hpts.domain.entries import date_of, day_of
from hpts.store.verify_entries import Tally
from hpts.store.verify_snapshot import Findings, Row, Snapshot, name_of

LOAN_NUMBERS = ("principal_minor", "interest_minor", "fees_minor")

Sums = dict[tuple[int, bytes, bytes, int | None, bytes], int]
"""As a Tally, by the first day that a total covers (None for one that covers all)."""


def check_totals(snapshot: Snapshot, findings: Findings, tally: Tally) -> int:
    """Compare the three tables of totals with the lines' tally; how many rows they have."""
    tables: tuple[tuple[str, Callable[[int], int | None]], ...] = (
        ("account_totals", lambda _: None),
        ("account_month_totals", _first_of_month),
        ("account_day_totals", lambda day: day),
    )
    row_count = 0
    for table, from_day in tables:
        by_line: Sums = defaultdict(int)
        for (account_code, currency, layer, day, direction), amount in tally.items():
            by_line[account_code, currency, layer, from_day(day), direction] += amount
        by_total, table_count = _read_totals(snapshot, f"walk_{table}")
        row_count += table_count
        _compare(findings, table, by_line, by_total)
    return row_count


def _read_totals(snapshot: Snapshot, statement: str) -> tuple[Sums, int]:
    sums: Sums = defaultdict(int)
    count = 0
    for account_code, currency, layer, from_day, debit, credit in snapshot.stream(statement):
        # NULL, which the table refuses, counts as a number that no total can be.
        sums[account_code, currency, layer, from_day, b"D"] += -1 if debit is None else debit
        sums[account_code, currency, layer, from_day, b"C"] += -1 if credit is None else credit
        count += 1
    return sums, count


def _compare(findings: Findings, table: str, by_line: Sums, by_total: Sums) -> None:
    for key in sorted({*by_line, *by_total}):
        if by_line.get(key, 0) == by_total.get(key, 0):
            continue
        account_code, currency, layer, from_day, direction = key
        parts = [table, f"{account_code:04}", currency.decode(), layer.decode()]
        if from_day is not None:
            parts.append(date_of(from_day).isoformat())
        side = "debits" if direction == b"D" else "credits"
        message = f"{side} are {by_total.get(key, 0)}; their lines add up to {by_line.get(key, 0)}"
        findings.note(table, " ".join(parts), message)
        return


@cache
def _first_of_month(day: int) -> int:
    return day_of(date_of(day).replace(day=1))


def check_loans(snapshot: Snapshot, findings: Findings) -> int:
    """Compare every loan with its lines; how many loans there are."""
    count = 0
    for row in snapshot.stream("compare_loans"):
        loan_id, currency = row[:2]
        if currency is not None:
            count += 1
        if message := _differ(row):
            findings.note("loans", f"loans {name_of(loan_id)}", message)
    return count


def check_loan_sums(snapshot: Snapshot, findings: Findings, tally: Tally) -> None:
    """What all loans together owe equals what the lines of its accounts add up to."""
    by_line: defaultdict[tuple[int, bytes], int] = defaultdict(int)
    for (account_code, currency, layer, _, direction), amount in tally.items():
        if layer == b"S":
            by_line[account_code, currency] += amount if direction == b"D" else -amount
    for account_code, currency, owed in snapshot.stream("sum_loans"):
        wanted = by_line[account_code, currency]
        if currency is not None and int(owed or 0) != wanted:
            message = (
                f"together owe {int(owed or 0)} {currency.decode()} on account {account_code:04}; "
            )
            findings.note("loans", "loans", message + f"its lines add up to {wanted}")


def _differ(row: Row) -> str | None:
    """How a loan differs from its lines, if it does (columns of compare_loans.sql)."""
    _, currency, first_currency, last_currency, *numbers = row
    *components, accrued_through, accrued_by_line, activity_at, activity_by_line = numbers
    if currency is None:
        return "is missing, and lines name it"
    if activity_by_line is None:
        return "has no line"
    for at, name in enumerate(LOAN_NUMBERS):
        kept, by_line = components[2 * at], int(components[2 * at + 1])
        if kept != by_line:
            return f"{name} is {kept}; its lines add up to {by_line}"
    if {first_currency, last_currency} - {currency, None}:
        return f"is in {currency.decode()}, and a line of it is not"
    if accrued_through != accrued_by_line:
        return "accrued_through is not the day of its latest accrual"
    if activity_at != activity_by_line:
        return "last_activity_at is not when its newest entry was posted"
    return None
