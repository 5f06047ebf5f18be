"""The comparison of two builds: its verdicts on made-up runs, and itself on this checkout."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.compare import Side, main, take_turns
from bench.slowdown import Comparison, Verdict, any_slower, pair_runs, render_table

ROOT = Path(__file__).parents[1]
ONE_BENCHMARK = ("--only", "allocating and not oracle")
SECONDS_MAX = 120


@pytest.mark.parametrize(
    ("base", "here", "verdict"),
    [
        pytest.param((1.0, 1.1), (1.2, 1.3), Verdict.SLOWER, id="apart and beyond"),
        pytest.param((1.2, 1.3), (1.0, 1.1), Verdict.FASTER, id="the other way round"),
        pytest.param((1.00, 1.01), (1.02, 1.03), Verdict.SAME, id="apart but within"),
        pytest.param((1.00, 1.00), (1.05, 1.05), Verdict.SAME, id="at the limit"),
        pytest.param((1.00, 1.00), (1.051, 1.051), Verdict.SLOWER, id="just beyond the limit"),
        pytest.param((1.0, 1.0, 1.4), (1.3, 1.3, 1.3), Verdict.UNCLEAR, id="one busy base run"),
        pytest.param((1.0, 1.0, 1.0), (0.9, 1.3, 1.3), Verdict.UNCLEAR, id="one lucky run here"),
        pytest.param((1.3, 1.3, 1.0), (1.0, 1.0, 1.0), Verdict.UNCLEAR, id="ranges that touch"),
        pytest.param((), (1.0, 1.0), Verdict.NEW, id="the base does not run it"),
        pytest.param((1.0, 1.0), (), Verdict.GONE, id="this tree does not run it"),
    ],
)
def test_a_verdict_needs_distance_and_ranges_that_do_not_overlap(
    base: tuple[float, ...], here: tuple[float, ...], verdict: Verdict
) -> None:
    comparison = Comparison("a benchmark", base, here)
    assert comparison.verdict is verdict
    assert any_slower([comparison]) == (verdict is Verdict.SLOWER)


def test_the_ratio_is_of_the_medians() -> None:
    assert Comparison("skewed", (1.0, 2.0, 9.0), (1.0, 3.0, 4.0)).ratio == 1.5
    assert Comparison("new", (), (1.0,)).ratio is None


def test_runs_are_paired_by_benchmark_in_the_order_of_this_tree() -> None:
    base = [{"kept": 1.0, "removed": 5.0}, {"kept": 2.0}]
    here = [{"added": 3.0, "kept": 4.0}, {"added": 3.5, "kept": 4.5}]
    assert pair_runs(base, here) == [
        Comparison("added", (), (3.0, 3.5)),
        Comparison("kept", (1.0, 2.0), (4.0, 4.5)),
        Comparison("removed", (5.0,), ()),
    ]


def test_a_base_on_which_this_trees_benchmarks_do_not_run_runs_its_own() -> None:
    base, here = Side("base", Path("base")), Side("this tree", Path("here"))
    asked = []

    def measure(side: Side, benchmarks: Side, number: int) -> dict[str, float]:
        asked.append((side, benchmarks, number))
        return {} if (side, benchmarks) == (base, here) else {"one": float(number)}

    both = [{"one": 1.0}, {"one": 2.0}]
    assert take_turns(base, here, 2, measure) == (both, both)
    assert asked == [
        (base, here, 1),
        (base, base, 1),
        (here, here, 1),
        (base, base, 2),
        (here, here, 2),
    ]


def test_a_disk_without_room_is_a_sentence_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def copy(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/somewhere")

    @contextlib.contextmanager
    def checked_out(_: str) -> Iterator[Path]:
        yield Path("somewhere")

    monkeypatch.setattr("bench.compare.find_commit", lambda _: "0" * 40)
    monkeypatch.setattr("bench.compare.checked_out", checked_out)
    monkeypatch.setattr("bench.compare.build", lambda _: None)
    monkeypatch.setattr("bench.compare.copy_tree", copy)
    assert main(["HEAD"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "bench-compare: [Errno 28] No space left on device: '/tmp/somewhere'"


def test_the_table_shows_medians_with_their_ranges_in_a_unit_that_fits() -> None:
    table = render_table(
        [
            Comparison("bench/test_a.py::test_slow", (0.001, 0.002, 0.003), (0.004, 0.005, 0.006)),
            Comparison("bench/test_a.py::test_new", (), (2.5e-7, 2.5e-7)),
        ]
    )
    slow, new = (" ".join(line.split()) for line in table.splitlines()[2:4])
    assert slow == "test_a.py::test_slow 2 ms (1 to 3) 5 ms (4 to 6) 2.500 slower"
    assert new == "test_a.py::test_new - 250 ns (250 to 250) new"
    assert "1 slower, 0 faster, 0 same, 0 unclear, 1 new, 0 gone" in table


@pytest.fixture
def compare_command() -> list[str]:
    """The comparison as a user starts it; only in a checkout is there a base."""
    try:
        asked = ["git", "-C", str(ROOT), "rev-parse", "--show-toplevel"]
        top = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        pytest.skip("git is not installed, which a base revision comes from")
    if top.returncode or Path(top.stdout.strip()).resolve() != ROOT.resolve():
        pytest.skip("this is not a git checkout, so there is no base revision to compare with")
    return [sys.executable, "-m", "bench.compare"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a comparison makes its temporary folders, so that another one's are not seen."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )


def has_worktree(folder: Path) -> bool:
    listed = run(["git", "worktree", "list", "--porcelain"])
    assert listed.returncode == 0, listed.stderr
    return str(folder) in listed.stdout


def test_the_last_commit_is_compared_with_this_tree(
    compare_command: list[str], folder: Path
) -> None:
    ran = run([*compare_command, "HEAD", "--rounds", "2", *ONE_BENCHMARK])
    # What a busy machine makes of two short runs is not this test's business.
    assert ran.returncode == (1 if " slower\n" in ran.stdout else 0), ran.stderr
    name, *cells = ran.stdout.splitlines()[2].split()
    assert name == "test_kernel.py::test_allocating[kernel]"
    assert cells.count("us") == 2, "both sides ran it"
    assert cells[-1] in {"slower", "faster", "same", "unclear"}
    assert "round 2 of 2, this tree: 1 benchmarks" in ran.stderr
    assert not has_worktree(folder)
    assert list(folder.iterdir()) == []


def test_an_interrupted_comparison_leaves_nothing(compare_command: list[str], folder: Path) -> None:
    process = subprocess.Popen(
        [*compare_command, "HEAD", *ONE_BENCHMARK], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("building the kernel of HEAD")
    assert has_worktree(folder)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 130
    assert "stopped before the end" in rest
    assert not has_worktree(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        pytest.param(["no-such-revision"], "git log --oneline", id="unknown revision"),
        pytest.param(["HEAD", "--rounds", "1"], "from 2 to 20", id="too few rounds"),
        pytest.param([], "BASE", id="no base"),
    ],
)
def test_what_cannot_be_compared_exits_2_and_says_what_to_do(
    compare_command: list[str], arguments: list[str], advice: str
) -> None:
    ran = run([*compare_command, *arguments])
    assert ran.returncode == 2
    assert advice in ran.stderr
    assert not ran.stdout
