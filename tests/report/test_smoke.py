"""The cheapest real measurements, from the command line to the document."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.report.measurements import MEASUREMENTS, memory, noop, payments, tpcb
from bench.report.process_tree import read_processes
from bench.report.programs import ROOT
from bench.report.results import Results
from bench.report.stage import WORKERS

MISSING = [name for name in ("wrk", "pgbench") if shutil.which(name) is None]
SECONDS_MAX = 150


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' and '.join(MISSING)}")
def test_a_quick_report_measures_and_leaves_nothing_running(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "bench.report", "--quick", "--out", str(tmp_path)]
        + ["--only", "tpcb,noop,payments,memory"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    results = Results(tmp_path / "quick")
    assert len(results.get("tpcb", tpcb.Figures).tps) == 2
    at = results.get("noop", noop.Figures).at(64)
    assert at.rate > 0 and at.server_us[0] > 0
    runs = results.get("payments", payments.Figures).runs
    assert all(each.is_true for run in runs for each in run.repetitions)
    assert all(run.repetitions[0].postgres_us > 0 for run in runs if run.connections > 1)
    assert len(results.get("memory", memory.Figures).workers_mb) == WORKERS
    document = (tmp_path / "quick" / "RESULTS.md").read_text()
    assert len(re.findall(r"not measured", document)) < sum(len(m.TARGETS) for m in MEASUREMENTS)
    assert str(tmp_path) not in document
    assert (tmp_path / "quick" / "plots" / "throughput.png").exists()
    assert list((tmp_path / "quick").glob("state-*")) == []
    left = [each.command for each in read_processes() if str(tmp_path) in each.command]
    assert left == []
