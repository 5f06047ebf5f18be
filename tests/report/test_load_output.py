"""What the load generators print is read to the digit, and nothing else is taken for figures."""

import json
from typing import Any

import pytest

from bench.report import open_loop, wrk
from bench.report.measurements import payments, tpcb
from bench.report.programs import MeasurementFailed, without_paths

SEEN = {
    "requests": 10_010,
    "duration_us": 2_000_000,
    "bytes": 1,
    "status_errors": 10,
    "connect_errors": 1,
    "read_errors": 2,
    "write_errors": 3,
    "timeouts": 4,
    "p50_us": 1_500,
    "p90_us": 2_000,
    "p99_us": 9_000,
    "p999_us": 12_345,
    "max_us": 20_000,
}
WRK = f"""Running 2s test @ http://127.0.0.1:1
  2 threads and 64 connections
Requests/sec:   5005.00
RESULT {json.dumps(SEEN)}
"""
PGBENCH = """pgbench (15.18)
transaction type: <builtin: TPC-B (sort of)>
number of transactions actually processed: 18200
number of failed transactions: 0 (0.000%)
latency average = 35.1 ms
tps = 910.123456 (without initial connection time)
"""
ARRIVALS: dict[str, Any] = {
    "offered_per_second": 100.0,
    "achieved_per_second": 99.5,
    "errors": {"503": 2, "connection_lost": 1},
    "p50_ms": 1.0,
    "p99_ms": 2.0,
    "p999_ms": 3.0,
    "max_ms": 4.0,
    "generator_lateness_p99_ms": 0.1,
}


def load(answered: int, connections: int) -> wrk.Load:
    times = {"p50_ms": 1.0, "p90_ms": 1.0, "p99_ms": 1.0, "p999_ms": 1.0, "max_ms": 1.0}
    return wrk.Load(connections=connections, seconds=1, answered=answered, failed=0, **times)


def test_wrk_counts_only_what_was_answered_2xx() -> None:
    found = wrk.parse_output(WRK, 64)
    assert (found.answered, found.failed, found.connections) == (10_000, 10 + 1 + 2 + 3 + 4, 64)
    assert found.rate == 5_000
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == (1.5, 2, 9)
    assert (found.p999_ms, found.max_ms) == (12.345, 20)


def test_wrk_without_a_result_is_a_failure_with_its_words() -> None:
    with pytest.raises(MeasurementFailed, match="unable to connect"):
        wrk.parse_output("unable to connect to 127.0.0.1:1 Connection refused\n", 1)


def test_pgbench_counts_without_connecting() -> None:
    assert tpcb.parse_output(PGBENCH) == 910.123456


@pytest.mark.parametrize(
    "output", ["", PGBENCH.replace("failed transactions: 0", "failed transactions: 3")]
)
def test_pgbench_that_failed_gives_no_figure(output: str) -> None:
    with pytest.raises(MeasurementFailed, match="pgbench"):
        tpcb.parse_output(output)


def test_the_open_loop_generators_object_is_read() -> None:
    found = open_loop.parse_output(f"a warning\n{json.dumps(ARRIVALS)}\n")
    assert (found.rate, found.achieved, found.failed) == (100, 99.5, 3)
    assert (found.p50_ms, found.p99_ms, found.p999_ms, found.max_ms) == (1, 2, 3, 4)
    assert found.generator_late_ms == 0.1


@pytest.mark.parametrize(
    "output", ["cannot reach http://127.0.0.1:1", "{}", json.dumps(ARRIVALS | {"p99_ms": None})]
)
def test_an_open_loop_run_without_figures_is_a_failure(output: str) -> None:
    with pytest.raises(MeasurementFailed, match="open-loop"):
        open_loop.parse_output(output)


@pytest.mark.parametrize(
    ("grown", "is_true"), [(999, False), (1_000, True), (1_064, True), (1_065, False)]
)
def test_the_journal_may_exceed_the_answers_by_what_was_under_way(
    grown: int, is_true: bool
) -> None:
    repetition = payments.Repetition(load=load(1_000, 64), grown=grown, server_us=1, postgres_us=1)
    assert repetition.is_true is is_true


def test_no_path_of_this_machine_gets_into_a_report() -> None:
    said = (
        "cannot open /home/someone/state-x1/server.log: GET /v1/payments http://localhost:3/docs/a"
    )
    assert without_paths(said) == (
        "cannot open server.log: GET /v1/payments http://localhost:3/docs/a"
    )
