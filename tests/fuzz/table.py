"""The table of the fuzz run: what was fuzzed with how many inputs, and how they were taken."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.summary import noted

PROPERTY = "fuzz"
HEAD = ("target", "inputs", "crashes", "500s", "slowest", "seconds")
WIDTHS = (24, 11, 9, 7, 12, 9)
OUTCOMES_SHOWN_MAX = 12


class Row(NamedTuple):
    """One target. `crashes` counts what was found but 500s; `slowest_ms` is the slowest input."""

    name: str
    inputs: int
    crashes: int
    slowest_ms: float
    seconds: float
    outcomes: dict[str, int]

    @property
    def cells(self) -> tuple[str, ...]:
        counts = (self.inputs, self.crashes, self.outcomes.get("500", 0))
        numbers = (f"{count:,}" for count in counts)
        return self.name, *numbers, f"{self.slowest_ms:,.0f} ms", f"{self.seconds:,.0f}"


def render(rows: Iterable[Row]) -> list[str]:
    """Lines of text, the last one for all."""
    kept = sorted(rows, key=lambda row: row.name.casefold())
    outcomes: Counter[str] = Counter()
    for row in kept:
        outcomes.update(row.outcomes)
    total = Row(
        "all",
        sum(row.inputs for row in kept),
        sum(row.crashes for row in kept),
        max(row.slowest_ms for row in kept),
        sum(row.seconds for row in kept),
        dict(outcomes),
    )
    rule = "-" * 100
    lines = [f"{_line(HEAD)}  how they were taken", rule]
    lines += [f"{_line(row.cells)}  {_shown(row.outcomes)}" for row in kept]
    return [*lines, rule, _line(total.cells)]


def _shown(outcomes: dict[str, int]) -> str:
    most = Counter(outcomes).most_common(OUTCOMES_SHOWN_MAX)
    return ", ".join(f"{name}: {count:,}" for name, count in sorted(most))


def _line(cells: Iterable[str]) -> str:
    first, *others = zip(cells, WIDTHS, strict=True)
    return first[0].ljust(first[1]) + "".join(cell.rjust(width) for cell, width in others)


def write_table(reporter: Any) -> None:
    """Of the targets of this run, to pytest's terminal reporter."""
    rows = [Row(*value) for value in noted(reporter, PROPERTY)]
    if rows:
        reporter.section("fuzz")
        for line in render(rows):
            reporter.write_line(line)
