"""The verdict: each objective alone, all of them, none, and the limits themselves."""

from loadtest.objectives import Measured, broken_objectives


def measured(
    *,
    requests: int = 100_000,
    errors: int = 0,
    writes_ms: float | None = 20.0,
    reads_ms: float | None = 10.0,
) -> Measured:
    return Measured(requests, errors, {"writes": writes_ms, "reads": reads_ms})


def test_figures_within_every_limit_break_nothing() -> None:
    assert broken_objectives({"": measured()}) == []


def test_slow_writes_are_named() -> None:
    found = broken_objectives({"": measured(writes_ms=100.4)})
    assert found == ["p99 of writes is 100.4 ms, above 100 ms"]


def test_slow_reads_are_named() -> None:
    found = broken_objectives({"": measured(reads_ms=301.0)})
    assert found == ["p99 of reads is 301.0 ms, above 300 ms"]


def test_too_many_errors_are_named() -> None:
    found = broken_objectives({"": measured(errors=51)})
    assert found == ["51 errors in 100000 requests, above 0.05 %"]


def test_every_broken_objective_is_named() -> None:
    found = broken_objectives({"": measured(errors=1000, writes_ms=500.0, reads_ms=500.0)})
    assert len(found) == 3


def test_a_limit_that_is_met_exactly_is_kept() -> None:
    assert broken_objectives({"": measured(errors=50, writes_ms=100.0, reads_ms=300.0)}) == []


def test_one_error_in_few_requests_is_too_many() -> None:
    assert broken_objectives({"": measured(requests=1999, errors=1)}) != []
    assert broken_objectives({"": measured(requests=2000, errors=1)}) == []


def test_a_scenario_without_reads_is_not_judged_by_them() -> None:
    assert broken_objectives({"": measured(reads_ms=None)}) == []


def test_a_run_without_answers_is_not_a_success() -> None:
    (found,) = broken_objectives({"": measured(requests=0, writes_ms=None, reads_ms=None)})
    assert "nothing was measured" in found


def test_a_tenant_is_judged_by_itself() -> None:
    found = broken_objectives({"": measured(), "tenant quiet": measured(writes_ms=150.0)})
    assert found == ["tenant quiet: p99 of writes is 150.0 ms, above 100 ms"]
