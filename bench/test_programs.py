"""The programs that time something whole, run small, so that they cannot rot."""

import subprocess
import sys

import pytest

SECONDS_MAX = 300


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("reconciliation", ("--rounds", "1"), "1,000 new entries"),
        ("verify", ("--rounds", "1"), " lines/s (at least 200,000)"),
        ("exports", (), "journal as csv"),
    ],
)
def test_a_program_runs_small(program: str, arguments: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", f"bench.{program}", "--lines", "4000", "--loans", "100"]
    found = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert found.returncode == 0, found.stderr
    assert said in found.stdout
