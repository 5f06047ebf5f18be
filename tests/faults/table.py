"""The table of a run: what failed how often, and what that did.

Rows travel from the tests to the end of the run as properties of their reports, also between the
processes of a parallel run, and those of the same fault are added up.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.summary import noted

PROPERTY = "faults"
SUMMARY = "faults summary"
HEAD = ("fault", "times", "in flight", "lost", "doubled", "first answer", "longest outage")
WIDTHS = (32, 6, 10, 6, 8, 13, 15)


class Row(NamedTuple):
    """One kind of fault. `in_flight` are the requests under way at some moment of it, all times
    together; `first_seconds` is the longest time from its end to the first 2xx, `outage_seconds`
    to the moment when every client had one."""

    name: str
    times: int = 0
    in_flight: int = 0
    lost: int = 0
    doubled: int = 0
    first_seconds: float = 0.0
    outage_seconds: float = 0.0

    def plus(self, other: "Row") -> "Row":
        return Row(
            self.name,
            self.times + other.times,
            self.in_flight + other.in_flight,
            self.lost + other.lost,
            self.doubled + other.doubled,
            max(self.first_seconds, other.first_seconds),
            max(self.outage_seconds, other.outage_seconds),
        )


def added_up(rows: Iterable[Row]) -> list[Row]:
    """One row for each fault, by name, and a last one for all."""
    found: dict[str, Row] = {}
    for row in rows:
        found[row.name] = found.get(row.name, Row(row.name)).plus(row)
    total = Row("all")
    for row in found.values():
        total = total.plus(row)
    return [*(found[name] for name in sorted(found, key=str.casefold)), total]


def render(rows: Iterable[Row]) -> list[str]:
    """Lines of text."""
    lines = [_line(HEAD), "-" * sum(WIDTHS)]
    for row in added_up(rows):
        if row.name == "all":
            lines.append(lines[1])
        cells = [f"{value:,}" if isinstance(value, int) else str(value) for value in row[:5]]
        seconds = [f"{value:.2f} s" for value in row[5:]]
        lines.append(_line((*cells, *seconds)))
    return lines


def _line(cells: Iterable[str]) -> str:
    first, *others = zip(cells, WIDTHS, strict=True)
    return first[0].ljust(first[1]) + "".join(cell.rjust(width) for cell, width in others)


def write_table(reporter: Any) -> None:
    """Of all tests of the run that have rows, to pytest's terminal reporter."""
    rows = [Row(*value) for value in noted(reporter, PROPERTY)]
    if not rows:
        return
    reporter.section("faults")
    for line in [*render(rows), "", *noted(reporter, SUMMARY)]:
        reporter.write_line(line)
