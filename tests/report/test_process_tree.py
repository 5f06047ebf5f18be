"""CPU time and memory from /proc: every process of the tree once, PostgreSQL's apart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.report.process_tree import (
    TICKS_PER_SECOND,
    CpuSeconds,
    Process,
    cpu_of,
    descendants,
    parse_process,
    read_processes,
    resident_mb,
    sum_cpu,
)


def stat_of(pid: int, parent: int, name: str = "x", ticks: tuple[int, ...] = (1, 2, 4, 8)) -> str:
    fields = ["S", str(parent), *["0"] * 9, *map(str, ticks), "20", "0"]
    return f"{pid} ({name}) {' '.join(fields)}\n"


def process(pid: int, parent: int, command: str = "python\0-m\0hpts.cli\0dev\0") -> Process:
    return Process(pid, parent, command, 1.0)


def test_cpu_time_includes_children_that_have_ended() -> None:
    found = parse_process(stat_of(7, 3), "python\0")
    assert found == Process(7, 3, "python\0", 15 / TICKS_PER_SECOND)


@pytest.mark.parametrize("name", ["a b", "a) S 9 (b", "(", ")"])
def test_a_name_may_hold_blanks_and_parentheses(name: str) -> None:
    assert parse_process(stat_of(7, 3, name), "").parent_pid == 3


@pytest.mark.parametrize(
    ("command", "is_postgres"),
    [
        ("postgres: checkpointer \0", True),
        ("postgres: postgres hpts [local] idle\0", True),
        ("/usr/lib/postgresql/15/bin/postgres\0-D\0data\0", True),
        ("python\0-m\0hpts.cli\0dev\0", False),
        ("python\0_confine.py\0plain\x001\0/usr/lib/postgresql/15/bin/postgres\0", False),
        ("", False),
    ],
)
def test_postgres_is_told_by_its_command_line(command: str, is_postgres: bool) -> None:
    assert process(1, 0, command).is_postgres is is_postgres


def test_a_tree_holds_all_below_its_root_and_nothing_else() -> None:
    processes = [process(4, 3), process(1, 0), process(3, 2), process(2, 1), process(9, 1)]
    assert [each.pid for each in descendants(2, processes)] == [2, 3, 4]


def test_cpu_time_is_summed_by_kind() -> None:
    tree = [process(1, 0), process(2, 1), process(3, 1, "postgres: walwriter \0")]
    assert sum_cpu(tree) == CpuSeconds(server=2.0, postgres=1.0)
    assert CpuSeconds(5, 3) - CpuSeconds(2, 1) == CpuSeconds(3, 2)


def test_a_process_that_ends_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    for pid in ("11", "12", "self"):
        (tmp_path / pid).mkdir()
    (tmp_path / "11" / "stat").write_text(stat_of(11, 1))
    (tmp_path / "11" / "cmdline").write_text("python\0")
    (tmp_path / "12" / "stat").write_text(stat_of(12, 1))
    assert [each.pid for each in read_processes(tmp_path)] == [11]


def test_time_of_a_child_counts_while_it_runs_and_after_it_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\ninput()"
    before = cpu_of(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", f"print(1, flush=True)\n{burn}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        child.communicate(b"\n", timeout=30)
    assert (cpu_of(os.getpid()) - before).server >= 0.25


def test_resident_memory_is_in_millions_of_bytes(tmp_path: Path) -> None:
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "status").write_text("Name:\tx\nVmHWM:\t2000 kB\nVmRSS:\t1000 kB\n")
    assert resident_mb(5, tmp_path) == pytest.approx(1.024)
    assert resident_mb(6, tmp_path) is None
