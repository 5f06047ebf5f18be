"""The programs that time something whole, run small, so that they cannot rot."""

import shutil
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


def test_the_statements_of_a_payment_are_counted_or_it_is_said_what_lacks() -> None:
    # Tests beside this one keep the disk busy: a commit has been seen to take more than a second.
    command = [sys.executable, "-m", "bench.statements", "--connections", "2", "--seconds", "6"]
    found = subprocess.run(
        [*command, "--loans", "50"], capture_output=True, text=True, timeout=120, check=False
    )
    if shutil.which("wrk") is None:
        assert "wrk is not installed" in found.stderr
        assert found.returncode == 1
        return
    if "lacks pg_stat_statements" in found.stderr:
        assert found.returncode == 1
        return
    assert found.returncode == 0, found.stderr
    rows = [line.split(" | ")[0].strip("| ") for line in found.stdout.splitlines()]
    assert {"insert_entries", "insert_lines", "append_block", "**all**"} <= set(rows)
