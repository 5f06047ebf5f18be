"""RESULTS.md says what was met, missed and not measured, and can be made again from raw results."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from matplotlib.figure import Figure

from bench.report import open_loop as generator
from bench.report.__main__ import main
from bench.report.measurements import MEASUREMENTS, ORDER, noop, open_loop, payments, tpcb
from bench.report.needs import find_lacking
from bench.report.plan import FULL, QUICK
from bench.report.plots import _draw_latency, draw_all
from bench.report.programs import MeasurementFailed
from bench.report.render import render
from bench.report.results import Environment, Record, Results
from tests.report.test_load_output import load


def keep(results: Results, name: str, figures: object, **changes: object) -> None:
    record = Record(
        name=name,
        run_id="run",
        measured_at="2026-01-02 03:04 UTC",
        seconds=1,
        is_quick=False,
        figures=msgspec.Raw(msgspec.json.encode(figures)),
    )
    results.keep(msgspec.structs.replace(record, **changes))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A run in which TPC-B, the no-op and payments were measured and the others were not."""
    found = Results(tmp_path / "raw")
    found.keep_environment(
        Environment(
            run_id="run",
            measured_at="2026-01-02 03:04 UTC",
            is_quick=False,
            machine=(("processor", "a | b"),),
            versions=(("Python", "3.x"),),
            settings=(("ledger", "1 loan"),),
            notable=("warned",),
        )
    )
    keep(found, "tpcb", tpcb.Figures(tps=(900.0, 1_100.0), scale=10, seconds=20))
    runs = tuple(
        noop.AtConnections(connections=count, loads=(load(20_000, count),), server_us=(30.0,))
        for count in noop.CONNECTIONS
    )
    keep(found, "noop", noop.Figures(interface="asgi", reply_bytes=257, runs=runs))
    rates = {1: 340, 16: 1_800, 64: 3_500, 256: 5_100}
    keep(found, "payments", payments_figures(rates))
    return found


ARRIVED = generator.Arrivals(
    rate=100,
    achieved=100,
    failed=0,
    p50_ms=1,
    p99_ms=2,
    p999_ms=3,
    max_ms=4,
    generator_late_ms=0.1,
)


def latencies(curve: open_loop.Runs, half: open_loop.Runs = (ARRIVED,)) -> open_loop.Figures:
    return open_loop.Figures(
        closed_loop_rate=400,
        curve=curve,
        half=half,
        beside_batches=(ARRIVED,),
        batch_loans=10_000,
        batch_seconds=(0.2,),
    )


def payments_figures(rates: dict[int, int], grown_by: int = 0) -> payments.Figures:
    return payments.Figures(
        runs=tuple(
            payments.AtConnections(
                connections=count,
                repetitions=(
                    payments.Repetition(
                        load=load(rate, count),
                        grown=rate + grown_by,
                        server_us=50,
                        postgres_us=20,
                    ),
                ),
            )
            for count, rate in rates.items()
        )
    )


def row(document: str, start: str) -> str:
    return next(line for line in document.splitlines() if line.startswith(f"| {start}"))


def test_each_target_has_its_figure_its_ratio_and_its_verdict(results: Results) -> None:
    document = render(results, MEASUREMENTS)
    assert row(document, "payments/s at 256").endswith("| 5,100/s to 1,000/s | 5.10 x | met |")
    assert row(document, "payments/s at 1 ").endswith("| 340/s to 1,000/s | 0.34 x | **not met** |")
    assert row(document, "server CPU a payment").endswith(
        "50.0 us to 30.0 us | 1.67 x | **not met** |"
    )
    assert row(document, "accrual lines/s").endswith("| accruals was not run |  | not measured |")
    assert "5 of 27 targets met, 2 not met, 20 not measured." in document


def test_a_failed_measurement_shows_its_reason(results: Results) -> None:
    keep(results, "accruals", None, error="the server | broke")
    document = render(results, MEASUREMENTS)
    assert row(document, "accrual lines/s").endswith(
        "| accruals: the server / broke |  | not measured |"
    )
    assert "Not measured: accruals: the server / broke." in document


def test_books_that_differ_from_the_answers_are_a_target_missed(results: Results) -> None:
    keep(results, "payments", payments_figures({256: 5_100}, grown_by=-1))
    found = row(render(results, MEASUREMENTS), "every 201 is in the journal")
    assert "1 runs differ" in found and found.endswith("**not met** |")


def test_payments_refused_at_half_the_rate_meet_no_latency(results: Results) -> None:
    refused = msgspec.structs.replace(ARRIVED, failed=7)
    keep(results, "open_loop", latencies((ARRIVED,), half=(ARRIVED, refused)))
    document = render(results, MEASUREMENTS)
    found = row(document, "payments at half the rate of 64 connections, p99:")
    assert found.endswith("| 2.00 ms, but 7 requests failed |  | **not met** |")
    assert row(document, "the same beside accrual batches").endswith("| 2.00 ms |  | met |")


def test_every_measurement_explains_itself(results: Results) -> None:
    document = render(results, MEASUREMENTS)
    for each in MEASUREMENTS:
        assert each.__doc__
        assert f"### {each.TITLE}\n\n{each.__doc__.splitlines()[0]}" in document


def test_machine_and_notes_are_shown(results: Results) -> None:
    keep(results, "noop", None, run_id="other", error="gone")
    document = render(results, MEASUREMENTS)
    assert "| processor | a / b |" in document
    assert "The HTTP server alone: no-op was measured in another run" in document
    assert "In the server's log: `warned`" in document


def test_cores_that_were_taken_away_meanwhile_are_noted(results: Results) -> None:
    figures = tpcb.Figures(tps=(900.0,), scale=10, seconds=20)
    keep(results, "tpcb", figures, seconds=40, stolen_share=0.65, stolen_seconds=3.2)
    noted = " ".join(render(results, MEASUREMENTS).split())
    assert "TPC-B: the machine below took 65% of the cores in the worst second, 3.2 s" in noted
    keep(results, "tpcb", figures, stolen_share=0.02, stolen_seconds=3.2)
    assert "machine below" not in render(results, MEASUREMENTS)


def test_a_quick_run_warns_that_it_means_nothing(results: Results) -> None:
    environment = results.environment()
    assert environment is not None
    assert "these figures mean nothing" not in render(results, MEASUREMENTS)
    results.keep_environment(msgspec.structs.replace(environment, is_quick=True))
    assert "these figures mean nothing" in render(results, MEASUREMENTS)


def test_raw_results_come_back_as_they_were(results: Results) -> None:
    assert results.get("tpcb", tpcb.Figures).mean == 1_000
    with pytest.raises(MeasurementFailed, match="memory was not run"):
        results.get("memory", tpcb.Figures)


def test_latency_is_drawn_over_what_arrives_and_not_over_what_is_achieved(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond what a server can take, both stand still there: the curve would have one place."""
    curve = tuple(msgspec.structs.replace(ARRIVED, rate=rate) for rate in (100.0, 200.0, 300.0))
    keep(results, "open_loop", latencies(curve))
    axes = Figure().subplots()
    _draw_latency(results, axes)
    assert all(list(line.get_xdata()) == [100, 200, 300] for line in axes.get_lines())


def test_plots_are_drawn_of_what_there_is(results: Results, tmp_path: Path) -> None:
    keep(results, "open_loop", latencies((ARRIVED,)))
    draw_all(results, tmp_path)
    drawn = {path.name: path.stat().st_size for path in (tmp_path / "plots").iterdir()}
    assert set(drawn) == {"throughput.png", "latency.png"}
    assert all(size < 100_000 for size in drawn.values())


def test_rendering_again_measures_nothing(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.__main__.PUBLISHED", tmp_path / "published")
    assert main(["--render-only", "--out", str(results.folder)]) == 0
    document = (tmp_path / "published" / "RESULTS.md").read_text()
    assert document == render(results, MEASUREMENTS)


@pytest.fixture
def two_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which TPC-B is measured at once and the no-op fails; where it would publish."""

    def fail(_: object) -> None:
        raise RuntimeError("no space left at /home/someone/state")

    measured = tpcb.Figures(tps=(900.0,), scale=1, seconds=1)
    stand_ins = {
        "tpcb": SimpleNamespace(measure=lambda _: measured),
        "noop": SimpleNamespace(measure=fail),
    }
    monkeypatch.setattr("bench.report.__main__.BY_NAME", stand_ins)
    monkeypatch.setattr("bench.report.__main__.ORDER", ("tpcb", "noop"))
    monkeypatch.setattr("bench.report.__main__.find_lacking", lambda *_: [])
    monkeypatch.setattr("bench.report.__main__._keep_environment", lambda *_: None)
    monkeypatch.setattr("bench.report.__main__.PUBLISHED", tmp_path / "published")
    return tmp_path / "published"


def test_a_measurement_that_fails_is_reported_and_the_rest_goes_on(
    two_measurements: Path, tmp_path: Path
) -> None:
    assert main(["--quick", "--only", "tpcb,noop", "--out", str(tmp_path)]) == 1
    document = (tmp_path / "quick" / "RESULTS.md").read_text()
    assert "**900** in the mean" in document
    assert "Not measured: noop: RuntimeError: no space left at state." in document


def test_what_is_published_is_not_lost_to_a_run_that_failed(
    two_measurements: Path, results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    """`results` has the environment of an earlier, whole run."""
    assert main(["--out", str(results.folder)]) == 1
    assert not two_measurements.exists()
    assert "**900** in the mean" in (results.folder / "RESULTS.md").read_text()
    assert "noop could not be measured, so bench/RESULTS.md stays" in capsys.readouterr().err
    assert main(["--render-only", "--out", str(results.folder)]) == 0
    assert (two_measurements / "RESULTS.md").exists()


def test_a_disk_without_room_is_named_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=19e9))
    for name in ("memory", "ledger_size"):
        (found,) = [each for each in find_lacking([name], FULL, tmp_path) if "GB" in each]
        assert "has 19 GB free, and this takes 20" in found
    assert not any("GB" in each for each in find_lacking(["payments"], FULL, tmp_path))


def test_an_unknown_measurement_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        main(["--only", "payments,nonsense"])
    assert exit_status.value.code == 2
    assert "nonsense: not a measurement" in capsys.readouterr().err


def test_every_measurement_is_made_and_the_no_op_covers_what_is_compared_with_it() -> None:
    assert set(ORDER) == {each.NAME for each in MEASUREMENTS}
    for plan in (FULL, QUICK):
        assert {1, 16, 64, 256} <= set(plan.connections)
        assert plan.ledger_steps[0] == 0
