"""The report: amounts in major units, and progress for terminals and logs."""

import io

import pytest

from hpts.demo.findings import Findings
from hpts.demo.money import JPY, USD, format_minor
from hpts.demo.progress import Progress
from hpts.demo.report import print_verdict


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123_456_789, USD, "1,234,567.89"),
        (5, USD, "0.05"),
        (-105, USD, "-1.05"),
        (123_456_789, JPY, "123,456,789"),
        (0, JPY, "0"),
        (9_223_372_036_854_775_807, USD, "92,233,720,368,547,758.07"),
    ],
)
def test_amounts_are_shown_in_the_currencys_major_unit(amount, currency, text):
    assert format_minor(amount, currency) == text


def test_progress_is_sparse_where_there_is_no_terminal():
    out = io.StringIO()
    progress = Progress(out, 1000)
    for _ in range(1000):
        progress.step()
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("100 %")


def test_progress_is_one_line_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    progress = Progress(out, 50)
    for _ in range(50):
        progress.step()
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("postings/s\n")


def test_the_verdict_names_disagreements_up_to_a_bound():
    out, findings = io.StringIO(), Findings()
    for number in range(130):
        findings.compare("things", f"thing {number}", ledger=1, oracle=2)
    print_verdict(findings, out)
    assert "DISAGREEMENT thing 7: the ledger says 1, the oracle says 2" in out.getvalue()
    assert "... and 30 more" in out.getvalue()
    assert "130 disagreements" in out.getvalue()
