"""Targets are judged from raw results, and what could not be measured is never a pass."""

import pytest

from bench.report.figures import (
    Judgement,
    Source,
    Target,
    Verdict,
    at_least,
    at_least_ratio,
    at_most,
    at_most_ratio,
    median,
    shown_number,
    slope,
    spread,
    unless_refused,
)
from bench.report.programs import MeasurementFailed
from bench.report.results import Results


def just(value: float) -> Source:
    return lambda _: value


def missing(_: Results) -> float:
    raise MeasurementFailed("payments was not run")


def judged(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Judgement:
    return target.judge(Results(tmp_path_factory.mktemp("results")))


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (at_least_ratio("t", just(500), just(100), 5, "/s"), Verdict.MET),
        (at_least_ratio("t", just(499), just(100), 5, "/s"), Verdict.NOT_MET),
        (at_most_ratio("t", just(160), just(100), 1.6, " us"), Verdict.MET),
        (at_most_ratio("t", just(161), just(100), 1.6, " us"), Verdict.NOT_MET),
        (at_most("t", just(15), 15, " ms"), Verdict.MET),
        (at_most("t", just(15.01), 15, " ms"), Verdict.NOT_MET),
        (at_least("t", just(90_000), 90_000, "/s"), Verdict.MET),
        (at_least("t", just(89_999), 90_000, "/s"), Verdict.NOT_MET),
    ],
)
def test_a_target_is_met_up_to_its_bound(
    target: Target, verdict: Verdict, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert judged(target, tmp_path_factory).verdict is verdict


def test_a_missed_ratio_is_not_rounded_to_a_met_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    target = at_least_ratio("t", just(4_999), just(1_000), 5, "/s")
    assert judged(target, tmp_path_factory) == Judgement(
        "4,999/s to 1,000/s", "5.00 x", Verdict.NOT_MET
    )


@pytest.mark.parametrize(
    "target",
    [
        at_least_ratio("t", missing, just(100), 5, "/s"),
        at_least_ratio("t", just(100), missing, 5, "/s"),
        at_most("t", missing, 15, " ms"),
    ],
)
def test_what_was_not_measured_says_why(
    target: Target, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert judged(target, tmp_path_factory) == Judgement(
        "payments was not run", "", Verdict.NOT_MEASURED
    )


def test_a_ratio_to_nothing_is_not_measured(tmp_path_factory: pytest.TempPathFactory) -> None:
    target = at_least_ratio("t", just(100), just(0), 5, "/s")
    assert judged(target, tmp_path_factory).verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize(
    ("refused", "judgement"),
    [
        (0, Judgement("3.00 ms", "", Verdict.MET)),
        (1_200, Judgement("3.00 ms, but 1,200 requests failed", "", Verdict.NOT_MET)),
    ],
)
def test_a_latency_of_refusals_meets_no_target(
    refused: int, judgement: Judgement, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = unless_refused(at_most("t", just(3), 4, " ms"), lambda _: refused)
    assert judged(target, tmp_path_factory) == judgement


def test_numbers_show_about_three_digits() -> None:
    assert [shown_number(value) for value in (0.1234, 1.234, 12.34, 123.4, 12345.6)] == [
        "0.12",
        "1.23",
        "12.3",
        "123",
        "12,346",
    ]


def test_the_statistics() -> None:
    assert median([3.0, 1.0, 2.0]) == 2
    assert spread([3.0, 1.0, 2.0]) == "1.00 to 3.00"
    assert slope([0.0, 1.0, 2.0], [10.0, 12.0, 14.0]) == pytest.approx(2)
    with pytest.raises(MeasurementFailed):
        median([])
    with pytest.raises(MeasurementFailed):
        slope([0.0, 1.0], [1.0, 2.0])
