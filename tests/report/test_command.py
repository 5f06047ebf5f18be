"""`python -m bench.report` as a user gets it wrong: what is not installed, and Ctrl-C, twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.report.process_tree import read_processes
from bench.report.programs import ROOT
from tests.conftest import clean_environment

SECONDS_MAX = 120
COMMAND = [sys.executable, "-m", "bench.report", "--quick", "--only", "payments"]


def folder_with(programs: dict[str, str], folder: Path) -> str:
    """A PATH with these shell scripts and what PostgreSQL's programs themselves need."""
    folder.mkdir()
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_what_is_not_installed_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    finished = subprocess.run(
        [*COMMAND, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env=clean_environment(PATH=folder_with({}, tmp_path / "bin")),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert finished.returncode == 2
    assert "apt-get install wrk" in finished.stderr
    assert "[1/" not in finished.stderr
    assert not list((tmp_path / "out").rglob("*.md"))


def test_ctrl_c_leaves_nothing_running_however_often_it_is_pressed(tmp_path: Path) -> None:
    programs = folder_with({"wrk": "exec sleep 60"}, tmp_path / "bin")
    process = subprocess.Popen(
        [*COMMAND, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env=clean_environment(PATH=f"{programs}:{os.environ['PATH']}"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        said = [next(process.stderr) for _ in range(3)]  # the server is up, the loans are opened
        assert "opening" in said[-1]
        deadline = time.monotonic() + SECONDS_MAX
        while process.poll() is None and time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGINT)  # the first ends it; the others come meanwhile
            time.sleep(0.05)
        _, rest = process.communicate(timeout=SECONDS_MAX)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(SECONDS_MAX)
    assert process.returncode == 130, rest
    assert "interrupted; what was measured is kept" in rest
    assert list((tmp_path / "out" / "quick").glob("state-*")) == []
    left = [each.command for each in read_processes() if str(tmp_path) in each.command]
    assert left == []
