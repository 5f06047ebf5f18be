"""Instructions a line in the kernel's own object, counted by callgrind: exact where time is not.

Posts N, 2N and 4N payments of 5 lines and takes differences, so that start-up cancels. The counts
depend on compiler and Python, so a bound belongs to a build; elsewhere only their shape is held.
After a change that is meant, run this file with `-rP`, which prints the count, and write it into
MEASURED, saying in the commit why it moved; a new compiler or Python gets a line of its own.
"""

import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pytest

import hpts
from hpts import _posting

ROOT = Path(__file__).parents[2]
SOURCES = Path(hpts.__file__).parents[1]
KERNEL = Path(_posting.__file__).resolve()
VALGRIND = shutil.which("valgrind") or ""
LINES_PER_PAYMENT = 5
PAYMENTS = 128
SECONDS_MAX = 120
"""For one process under callgrind, which takes two or three: a machine may be busy."""

MEASURED = {("x86_64", "3.11", "GCC 12", "-Wsign-compare -DNDEBUG -g -fwrapv -O3 -Wall"): 1_276}
"""Instructions a line, by machine, Python, compiler and the flags that Python passes to it."""
SLACK = 1.05
SHAPE_SLACK = 1.01
"""Twice the payments may cost this much more each: buffers double, and the doublings are few."""

POST_PAYMENTS = """
import sys
sys.path[:0] = sys.argv[2:]
from hpts._posting import POSTED, Batch
from tests.kernel.entries import (
    CASH, CR, DAY, DR, FACTS, FEES, FIRST_ENTRY_ID, INTEREST, POSTED_AT, PRINCIPAL, SUSPENSE,
    TENANT_ID, loan_id, loan_row,
)

payments = int(sys.argv[1])
batch = Batch(TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)
batch.load_loans([loan_row(number, 1_000_000, 5_000, 2_500) for number in range(payments)])
for number in range(payments):
    loan = batch.find_loan(loan_id(number))
    amount = 1_000_000 + 5_000 + 2_500 + 1
    fees, interest, principal, suspense = batch.allocate(loan, amount)
    batch.begin_entry(DAY)
    batch.line(CASH, DR, amount, b"USD", loan)
    batch.line(FEES, CR, fees, b"USD", loan)
    batch.line(INTEREST, CR, interest, b"USD", loan)
    batch.line(PRINCIPAL, CR, principal, b"USD", loan)
    batch.line(SUSPENSE, CR, suspense, b"USD", loan)
    if batch.end_entry(**FACTS) != POSTED:
        sys.exit("a payment was refused")
if batch.size != (payments, 5 * payments):
    sys.exit(f"the batch holds {batch.size}")
batch.take_entries(), batch.take_lines(), batch.take_totals()
batch.take_loans(is_new=True), batch.take_loans(is_new=False)
"""


@pytest.fixture(scope="module")
def instructions_per_line(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, float]:
    """From N to 2N payments, and from 2N to 4N."""
    if not VALGRIND:
        pytest.skip("valgrind is not installed, whose callgrind counts the kernel's instructions")
    if b"__asan_report" in KERNEL.read_bytes():
        pytest.skip("the kernel is built with sanitizers, whose instructions are not its own")
    folder = tmp_path_factory.mktemp("callgrind")
    once, twice, four_times = (
        kernel_instructions(payments, folder / str(payments))
        for payments in (PAYMENTS, 2 * PAYMENTS, 4 * PAYMENTS)
    )
    lines = PAYMENTS * LINES_PER_PAYMENT
    return (twice - once) / lines, (four_times - twice) / (2 * lines)


def kernel_instructions(payments: int, profile: Path) -> int:
    """What a process that posts so many payments executes in the kernel's object."""
    ran = subprocess.run(
        [VALGRIND, "--tool=callgrind", f"--callgrind-out-file={profile}", sys.executable]
        # Without site or this process's environment: nothing of them takes part in the count.
        + ["-P", "-S", "-s", "-c", POST_PAYMENTS, str(payments), str(SOURCES), str(ROOT)],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    with profile.open() as written:
        return own_instructions(written, KERNEL)


def own_instructions(profile: Iterable[str], wanted: Path) -> int:
    """The instructions that a callgrind profile gives to an object itself, calls left out."""
    names: dict[str, str] = {}  # given where a number stands first
    in_wanted = is_call = False
    total = 0
    for line in profile:
        if named := re.match(r"(c?)ob=(\(\d+\)) ?(.*)", line):
            name = names.setdefault(named[2], named[3])
            if not named[1]:  # else it is the object of what is called
                in_wanted = name == str(wanted)
        elif line.startswith("calls="):
            is_call = True  # the next line is what the call cost all in all
        elif line[0] in "0123456789+-*":
            if in_wanted and not is_call:
                total += int(line.split()[1])
            is_call = False
    assert str(wanted) in names.values(), "callgrind did not see the kernel"
    return total


def build() -> tuple[str, str, str, str]:
    """What the kernel under test was built by and for."""
    python = ".".join(platform.python_version_tuple()[:2])
    version = re.search(rb"GCC: \([^)]*\) (\d+)\.", KERNEL.read_bytes())
    compiler = f"GCC {version[1].decode()}" if version else "another compiler"
    return platform.machine(), python, compiler, sysconfig.get_config_var("CFLAGS") or ""


def test_a_line_costs_the_kernel_no_more_instructions_than_measured(
    instructions_per_line: tuple[float, float],
) -> None:
    count = instructions_per_line[1]
    print(f"{build()}: {count:.1f} instructions a line")
    if build() not in MEASURED:
        pytest.skip(f"no count was taken for {build()}; here it is {count:.1f} a line")
    assert count <= MEASURED[build()] * SLACK, (
        f"{count:.0f} instructions a line, {count / MEASURED[build()] - 1:.0%} above the measured"
        f" {MEASURED[build()]}: make the kernel's line cheaper, or write the new count into"
        " MEASURED and say in the commit what it buys"
    )


def test_a_line_costs_the_same_whatever_the_size_of_the_batch(
    instructions_per_line: tuple[float, float],
) -> None:
    smaller, larger = instructions_per_line
    assert larger <= smaller * SHAPE_SLACK, (
        f"a line costs {smaller:.0f} instructions in a small batch and {larger:.0f} in a large one:"
        " something now walks the whole batch for each line"
    )


def test_what_a_profile_gives_to_callees_is_not_counted() -> None:
    profile = """\
ob=(1) /the/interpreter
fn=(1) main
3 100
cob=(2) /the/kernel
cfn=(2) line
calls=7 10
+1 900
ob=(2)
fn=(2)
10 40
* 2
cob=(1)
cfn=(3) allocate
calls=1 5
12 5000
-3 8
"""
    assert own_instructions(profile.splitlines(keepends=True), Path("/the/kernel")) == 50
    assert own_instructions(profile.splitlines(keepends=True), Path("/the/interpreter")) == 100
