"""`hpts export` as an accountant calls it: what the API says, whole or not at all."""

import csv
import datetime
import io
import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from hpts.store.tenants import set_tenant_status
from tests.conftest import clean_environment
from tests.store.ledger_fixture import Books, accrual, days_ago, disbursement, payment, reversal

RESTATED = (
    *("restatement", "--currency", "USD", "--as-of", "2026-03-01"),
    *("--known-from", "2026-03-02T00:00:00Z"),
)
PERIOD_THAT_ENDS_FIRST = ("--from", "2026-03-02", "--to", "2026-03-01")


class Told:
    """Books with an entry of each kind."""

    def __init__(self, database_url: str) -> None:
        self.books = Books(database_url)
        self.loan_id, other = uuid.uuid4(), uuid.uuid4()
        self.books.post(disbursement(self.loan_id, 1_000, on=days_ago(9)), disbursement(other, 5))
        self.books.post(accrual({self.loan_id: 30, other: 1}, on=days_ago(5)))
        (paid,) = self.books.post(payment(self.loan_id, 130, on=days_ago(20)))
        self.books.post(reversal(paid))


@pytest.fixture(scope="module")
def told(database_url: str) -> Told:
    return Told(database_url)


def export(
    told: Told, *arguments: str, tenant: uuid.UUID | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hpts.cli", "export", *arguments]
    return subprocess.run(
        [*command, "--tenant", str(tenant or told.books.tenant_id)],
        env=clean_environment(HPTS_DATABASE_URL=told.books.database_url),
        capture_output=True,
        check=False,
    )


def rows_of(told: Told, *arguments: str) -> list[dict[str, str]]:
    """The rows as CSV has them; as JSON they are the same."""
    done, as_json = export(told, *arguments), export(told, *arguments, "--format", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    objects = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [{name: str(cell) for name, cell in one.items()} for one in objects] == [
        {name: cell for name, cell in row.items() if cell} for row in rows
    ]
    return rows


def test_the_journal_has_every_line_in_the_order_of_blocks(told: Told) -> None:
    rows = rows_of(told, "journal")
    shown = [
        (row["journal_entry_id"], row["sequence"], row["account_code"], row["amount_minor"])
        for row in rows
    ]
    assert shown == [
        (str(entry), str(sequence), f"{code:04d}", str(minor))
        for entry, sequence, code, minor in told.books.fetch(
            "SELECT journal_entry_id, sequence, account_code, amount_minor FROM journal_lines"
            " WHERE tenant_id = %s ORDER BY journal_entry_id, sequence"
        )
    ]
    assert [row["block_number"] for row in rows] == ["1"] * 4 + ["2"] * 3 + ["3"] * 3 + ["4"] * 3
    assert {row["layer"] for row in rows} == {"SETTLED"}
    assert {row["direction"] for row in rows} == {"DR", "CR"}


def test_statements_open_and_close(told: Told) -> None:
    period = ("--from", days_ago(9).isoformat(), "--to", days_ago(0).isoformat())
    rows = rows_of(told, "account-entries", "--account", "1000", "--currency", "USD", *period)
    assert [(row["row"], row["balance_minor"]) for row in rows] == [
        ("opening", "130"),
        ("line", "0"),
        ("closing", "0"),
    ]
    rows = rows_of(told, "loan-statement", "--loan", str(told.loan_id), *period)
    assert [(row["row"], row["total_exposure_minor"]) for row in rows] == [
        ("opening", "-130"),
        ("line", "870"),
        ("line", "900"),
        ("line", "1030"),
        ("closing", "1030"),
    ]


def test_the_chart_a_loan_and_the_trial_balance(told: Told) -> None:
    assert len(rows_of(told, "accounts")) == 17
    (loan,) = rows_of(told, "loan", "--loan", str(told.loan_id))
    assert loan["disbursed_minor"] == "1000"
    *lines, total = rows_of(told, "trial-balance", "--as-of", days_ago(0).isoformat())
    assert (total["row"], total["debit_minor"]) == ("total", total["credit_minor"])
    assert total["debit_minor"] == str(sum(int(row["debit_minor"]) for row in lines)) == "1036"


def test_a_trial_balance_as_it_was_known(told: Told) -> None:
    ((paid_at,),) = told.books.fetch(
        "SELECT posted_at FROM journal_entries"
        " WHERE tenant_id = %s AND event_type = 'payment_received'"
    )
    rows = rows_of(told, "trial-balance", "--known-at", paid_at.isoformat())
    assert {row["account_code"]: row["debit_minor"] for row in rows}["1000"] == "130"
    before = paid_at - datetime.timedelta(microseconds=1)
    rows = rows_of(told, "trial-balance", "--known-at", before.isoformat())
    assert {row["account_code"]: row["debit_minor"] for row in rows}["1000"] == "0"
    assert rows[0]["as_of_date"] == before.astimezone(datetime.UTC).date().isoformat()


def test_what_changed_the_answer_about_a_day(told: Told) -> None:
    ((paid_at,),) = told.books.fetch(
        "SELECT posted_at FROM journal_entries"
        " WHERE tenant_id = %s AND event_type = 'payment_received'"
    )
    before, entry, after = rows_of(
        told,
        "restatement",
        *("--account", "1000", "--currency", "USD", "--as-of", days_ago(15).isoformat()),
        *("--known-from", (paid_at - datetime.timedelta(microseconds=1)).isoformat()),
        *("--known-to", paid_at.isoformat()),
    )
    assert (before["row"], before["normal_balance_minor"]) == ("before", "0")
    assert (entry["event_type"], entry["effect_minor"]) == ("payment_received", "130")
    assert (after["row"], after["normal_balance_minor"]) == ("after", "130")


def test_a_suspended_tenants_books_can_be_exported(database_url: str) -> None:
    told = Told(database_url)
    set_tenant_status(database_url, told.books.tenant_id, "suspended")
    assert len(rows_of(told, "journal")) == 13


def test_a_file_is_whole_or_not_there(told: Told, tmp_path: Path) -> None:
    wanted = tmp_path / "journal.csv"
    assert export(told, "journal", "--output", str(wanted)).returncode == 0
    whole = wanted.read_bytes()
    assert whole == export(told, "journal").stdout
    failed = export(told, "journal", "--output", str(wanted), tenant=uuid.uuid4())
    assert failed.returncode == 1
    assert wanted.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [wanted], "nothing else is left behind"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("loan", "--loan", str(uuid.uuid4())), 1, "has no loan"),
        (("loan-statement", "--loan", str(uuid.uuid4())), 1, "has no loan"),
        (("account-entries", "--account", "7777", "--currency", "USD"), 1, "no account 7777"),
        (("journal", "--output", "/nowhere/at/all.csv"), 1, "No such file"),
        (("account-entries", "--account", "77", "--currency", "USD"), 2, "must be four digits"),
        (("account-entries", "--account", "1000"), 2, "--currency"),
        (("trial-balance", "--currency", "usd"), 2, "three capital letters"),
        (("trial-balance", "--as-of", "2026-02-30"), 2, "must be a date"),
        (("trial-balance", "--known-at", "2026-03-01"), 2, "must be an RFC 3339 instant"),
        (
            ("loan-statement", "--loan", str(uuid.uuid4()), *PERIOD_THAT_ENDS_FIRST),
            1,
            "--to must not be before --from",
        ),
        (
            ("account-entries", "--account", "1000", "--currency", "USD", *PERIOD_THAT_ENDS_FIRST),
            1,
            "--to must not be before --from",
        ),
        ((*RESTATED, "--account", "7777"), 1, "no account 7777"),
        (
            (*RESTATED, "--account", "1000", "--known-to", "2026-03-01T00:00:00Z"),
            1,
            "--known-to must not be before --known-from",
        ),
        (("everything",), 2, "invalid choice"),
    ],
)
def test_what_cannot_be_exported_says_why(
    told: Told, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = export(told, *arguments)
    assert (done.returncode, done.stdout) == (status, b"")
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_an_unknown_tenant_is_named(told: Told) -> None:
    stranger = uuid.uuid4()
    done = export(told, "accounts", tenant=stranger)
    assert done.returncode == 1
    assert f"there is no tenant {stranger}" in done.stderr.decode()
