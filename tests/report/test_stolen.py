"""The report says where the machine below took the cores away while something was measured."""

import os
from pathlib import Path

import pytest

from bench.report.stolen import StolenTime

TICKS = os.sysconf("SC_CLK_TCK")


def stat_of(stolen_seconds: float) -> str:
    return f"cpu  9 9 9 9 9 9 9 {int(stolen_seconds * TICKS)} 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"


def test_what_was_stolen_is_added_up_and_the_worst_second_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = tmp_path / "stat"
    stat.write_text(stat_of(100))
    clock = iter((0.0, 1.0, 2.0))
    monkeypatch.setattr("bench.report.stolen.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("bench.report.stolen.os.cpu_count", lambda: 2)
    with StolenTime(stat, look_seconds=3600) as stolen:
        for total in (100.5, 102.0):
            stat.write_text(stat_of(total))
            stolen._look()
        monkeypatch.undo()
    assert stolen.seconds == pytest.approx(2.0)
    assert stolen.worst_share == pytest.approx(0.75)


def test_a_machine_that_does_not_tell_has_lost_nothing(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 1 1 1\n")
    with StolenTime(stat, look_seconds=3600) as stolen:
        stolen._look()
    assert (stolen.seconds, stolen.worst_share) == (0, 0)
