"""An entry is found whose fields, lines or map of loans were changed."""

import uuid

import pytest

from .verify_story import OF_ENTRY, ONE, THREE, TWO, Story


def test_an_amount_changed_on_both_sides_is_found_by_the_entrys_hash(story: Story) -> None:
    story.tamper(f"UPDATE journal_lines SET amount_minor = 1001 {OF_ENTRY}", entry=story.lent[0])
    found = story.found()
    assert "entry_balance" not in found
    assert found["entry_hash"] == f"journal_entries {story.lent[0]}"
    assert found["account_totals"] == "account_totals 1100 USD S"
    month = story.lent_on.replace(day=1)
    assert found["account_month_totals"] == f"account_month_totals 1100 USD S {month}"
    assert found["account_day_totals"] == f"account_day_totals 1100 USD S {story.lent_on}"
    assert found["loans"] == f"loans {ONE}"


def test_an_amount_changed_on_one_side_leaves_the_entry_out_of_balance(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_lines SET amount_minor = 1001 {OF_ENTRY} AND sequence = 1",
        entry=story.lent[0],
    )
    (finding,) = (one for one in story.verify().findings if one.check == "entry_balance")
    assert finding.row == f"journal_entries {story.lent[0]}"
    assert "1 USD on layer S" in finding.message


def test_currencies_balance_each_by_itself(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_lines SET currency = 'EUR' {OF_ENTRY} AND direction = 'D'",
        entry=story.lent[0],
    )
    assert story.found()["entry_balance"] == f"journal_entries {story.lent[0]}"


def test_a_deleted_line_leaves_a_gap(story: Story) -> None:
    story.tamper(f"DELETE FROM journal_lines {OF_ENTRY} AND sequence = 1", entry=story.accrued)
    found = story.found()
    assert found["line_sequence"] == f"journal_lines {story.accrued} line 2"
    assert found["entry_hash"] == f"journal_entries {story.accrued}"
    assert found["entry_loans"] == f"entry_loans {story.accrued} line 1"


def test_a_deleted_last_line_is_found(story: Story) -> None:
    story.tamper(f"DELETE FROM journal_lines {OF_ENTRY} AND sequence = 3", entry=story.accrued)
    found = story.found()
    assert "line_sequence" not in found
    assert found["entry_hash"] == found["entry_balance"] == f"journal_entries {story.accrued}"


def test_an_entry_has_at_least_two_lines(story: Story) -> None:
    story.tamper(f"DELETE FROM journal_lines {OF_ENTRY}", entry=story.lent[1])
    assert story.found()["line_sequence"] == f"journal_entries {story.lent[1]}"


@pytest.mark.parametrize(
    "change",
    [
        "event_type = 'payment_received'",
        "effective_at = effective_at + 1",
        "posted_at = posted_at + interval '1 microsecond'",
        "correlation_id = gen_random_uuid()",
        "loan_id = NULL",
        "actor = 'somebody else'",
        "idempotency_key = 'another:' || gen_random_uuid()::text",
        "request_digest = sha256('another')",
        "details = '{}'",
        "reply = 'another'",
        "entry_hash = sha256('another')",
    ],
)
def test_a_changed_field_of_an_entry_is_found_by_its_hash(story: Story, change: str) -> None:
    story.tamper(f"UPDATE journal_entries SET {change} {OF_ENTRY}", entry=story.lent[1])
    assert story.found()["entry_hash"] == f"journal_entries {story.lent[1]}"


def test_a_changed_original_of_a_reversal_is_found_by_its_hash(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_entries SET reverses_entry_id = %(other)s {OF_ENTRY}",
        entry=story.unpaid,
        other=story.lent[0],
    )
    assert story.found() == {
        "entry_hash": f"journal_entries {story.unpaid}",
        "audit_reversals": f"journal_entries {story.unpaid}",
    }


@pytest.mark.parametrize(
    "change",
    [
        "account_code = 1010",
        "direction = 'C'",
        "layer = 'P'",
        "currency = 'CHF'",
        "amount_minor = amount_minor + 1",
        "sequence = 9",
        "loan_id = NULL",
        "loan_id = '00000000-0000-0000-0000-000000000000'",
    ],
)
def test_a_changed_field_of_a_line_is_found_by_its_entrys_hash(story: Story, change: str) -> None:
    story.tamper(
        f"UPDATE journal_lines SET {change} {OF_ENTRY} AND sequence = 1", entry=story.paid[1]
    )
    assert story.found()["entry_hash"] == f"journal_entries {story.paid[1]}"


@pytest.mark.parametrize("which", ["first", "last"])
def test_lines_without_their_entry_are_found(story: Story, which: str) -> None:
    entry = story.lent[0] if which == "first" else story.unaccrued
    story.tamper(f"DELETE FROM journal_entries {OF_ENTRY}", entry=entry)
    verified = story.verify()
    found = {finding.check: finding.row for finding in verified.findings}
    assert found["line_entry"] == f"journal_lines {entry} line 1"
    assert verified.counts["lines"] == 28, "stray lines are counted"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (f"DELETE FROM entry_loans {OF_ENTRY} AND sequence = 2", 2),
        (f"UPDATE entry_loans SET loan_id = %(loan)s {OF_ENTRY} AND sequence = 1", 1),
        ("INSERT INTO entry_loans VALUES (%(tenant)s, %(loan)s, %(entry)s, 3, NULL)", 3),
    ],
)
@pytest.mark.parametrize("of", ["accrual", "reversal"])
def test_a_changed_map_of_loans_is_found(story: Story, change: str, line: int, of: str) -> None:
    entry = story.accrued if of == "accrual" else story.unaccrued
    story.tamper(change, entry=entry, loan=THREE)
    assert story.found() == {"entry_loans": f"entry_loans {entry} line {line}"}


def test_a_map_of_loans_of_an_entry_of_one_loan_is_found(story: Story) -> None:
    story.tamper(
        "INSERT INTO entry_loans VALUES (%(tenant)s, %(loan)s, %(entry)s, 1, NULL)",
        entry=story.lent[0],
        loan=ONE,
    )
    assert story.found() == {"entry_loans": f"entry_loans {story.lent[0]} line 1"}


def test_a_map_of_loans_of_no_entry_is_found(story: Story) -> None:
    stray = uuid.UUID(int=2**128 - 1)
    story.tamper(
        "INSERT INTO entry_loans VALUES (%(tenant)s, %(loan)s, %(entry)s, 1, NULL)",
        entry=stray,
        loan=ONE,
    )
    assert story.found() == {"entry_loans": f"entry_loans {stray} line 1"}


def test_a_line_that_names_another_loan_than_its_entry_is_found(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_lines SET loan_id = %(loan)s {OF_ENTRY} AND sequence = 2",
        entry=story.lent[0],
        loan=TWO,
    )
    assert story.found()["entry_loans"] == f"journal_lines {story.lent[0]} line 2"
