"""From a recording to figures: what counts for whom, in summary, table and plot."""

from pathlib import Path

import pytest

from loadtest.plot import draw
from loadtest.recorder import REASONS_MAX, Recorder, Recording, read_recording
from loadtest.summary import measured, summarise, table


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """100 writes of 10 ms and 100 reads of 20 ms of two tenants; one write of `busy` is slow."""
    recorder = Recorder(10)
    recorder.start()
    for tenant in ("quiet", "busy"):
        for _ in range(50):
            recorder.record(tenant, "postPayment", 10.0, None)
            recorder.record(tenant, "getLoanBalance", 20.0, None)
    recorder.record("busy", "replay", 400.0, "wrong body")
    recorder.record_final_balance("busy", None)
    recorder.record_final_balance("busy", "not what was posted")
    recorder.stop()
    recorder.write(tmp_path / "recording.json")
    return read_recording(tmp_path / "recording.json")


def test_replays_are_writes_and_errors_after_the_run_count(recording: Recording) -> None:
    whole = measured(recording)[""]
    assert (whole.requests, whole.errors) == (201, 2)
    assert whole.p99_ms["writes"] == pytest.approx(10.0, rel=0.01)
    assert recording.histogram(kind="writes").count == 101


def test_each_of_two_tenants_is_measured_by_itself(recording: Recording) -> None:
    found = measured(recording)
    assert set(found) == {"", "tenant quiet", "tenant busy"}
    assert found["tenant quiet"].errors == 0
    assert found["tenant busy"].p99_ms["writes"] == 400.0


def test_the_summary_names_what_was_not_kept(recording: Recording) -> None:
    summary = summarise(recording, scenario="two_tenants", users=6, offered_per_second=30)
    broken = summary["broken_objectives"]
    assert [line for line in broken if line.startswith("tenant busy: p99 of writes is 400.0 ms")]
    assert not [line for line in broken if line.startswith("tenant quiet")]
    assert summary["final_balances"] == {"checked": 2, "wrong": 1}
    shown = table(summary)
    for label in ("writes", "reads", "quiet: writes", "busy: reads", "postPayment", "p99.9 ms"):
        assert label in shown


def test_a_rate_below_the_offered_one_is_told(recording: Recording) -> None:
    slow = summarise(recording, scenario="mixed", users=60, offered_per_second=10**9)
    assert "were sent" in slow["warnings"][0]
    fast = summarise(recording, scenario="mixed", users=60, offered_per_second=1)
    assert fast["warnings"] == []


def test_a_generator_without_processor_is_told(tmp_path: Path) -> None:
    recorder = Recorder(10)
    recorder.record("tenant", "postPayment", 1.0, None)
    recorder.record_final_balance("tenant", None)
    recorder.write(tmp_path / "recording.json", is_generator_busy=True)
    found = read_recording(tmp_path / "recording.json")
    summary = summarise(found, scenario="mixed", users=1, offered_per_second=1)
    assert "too little processor" in summary["warnings"][0]


def test_the_plot_is_a_picture(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "percentiles.png"
    draw(recording, "a title", path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_reasons_for_errors_are_bounded(tmp_path: Path) -> None:
    recorder = Recorder(10)
    for number in range(10 * REASONS_MAX):
        recorder.record("tenant", "postPayment", 1.0, f"reason {number}")
    recorder.write(tmp_path / "recording.json")
    found = read_recording(tmp_path / "recording.json")
    assert len(found.errors) == REASONS_MAX + 1
    assert found.errors_of() == 10 * REASONS_MAX
