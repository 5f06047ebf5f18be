"""README and PERFORMANCE quote the published report: who publishes a new one brings them up to it.

RESULTS.md itself is written by the report; that it counts and shows the same is held here too.
"""

import re

import pytest

from bench.report.programs import ROOT

RESULTS = (ROOT / "bench" / "RESULTS.md").read_text()
README = (ROOT / "README.md").read_text()
PERFORMANCE = (ROOT / "docs" / "PERFORMANCE.md").read_text()
MET, TARGETS = map(int, re.findall(r"(\d+) of (\d+) targets met", RESULTS)[0])
HOW_FAST = re.findall(r"(?m)^\| ((?:HPTS|PostgreSQL|django-hordak)[^|]*) \| ([0-9,]+) \|", README)


def test_the_verdicts_are_as_many_as_are_counted() -> None:
    verdicts = re.findall(r"(?m)\| (met|\*\*not met\*\*|not measured) \|$", RESULTS)
    assert (verdicts.count("met"), len(verdicts)) == (MET, TARGETS)


def test_the_readme_has_a_figure_of_each_kind() -> None:
    assert len(HOW_FAST) == 7


@pytest.mark.parametrize(("what", "figure"), HOW_FAST)
def test_a_figure_of_the_readme_is_the_published_one(what: str, figure: str) -> None:
    found = re.search(rf"(?<![0-9,.]){re.escape(figure)}(?![0-9,.]*[0-9])", RESULTS)
    assert found, (
        f"README says {figure} for {what}, bench/RESULTS.md nowhere: bring README up to it"
    )


def test_what_is_said_of_unmet_targets_is_of_the_published_report() -> None:
    assert f"{MET} of {TARGETS}" in PERFORMANCE, (
        "bench/RESULTS.md has other counts than docs/PERFORMANCE.md: explain every target that is "
        "not met now"
    )
