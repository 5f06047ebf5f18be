"""Adds to a benchmark's row what its time comes to for one line, or as a rate."""

from pytest_benchmark.fixture import BenchmarkFixture


def note_per_line(benchmark: BenchmarkFixture, lines: int) -> None:
    """Nanoseconds a journal line, in extra_info and behind the name in the table."""
    benchmark.extra_info["lines"] = lines
    if benchmark.stats is None:  # disabled: it ran once, unmeasured
        return
    per_line = round(benchmark.stats.stats.median / lines * 1e9)
    benchmark.extra_info["nanoseconds_per_line"] = per_line
    benchmark.stats.name += f" [{per_line:,} ns a line]"


def note_rate(benchmark: BenchmarkFixture, count: int, what: str) -> None:
    """How many a second, in extra_info and behind the name in the table."""
    benchmark.extra_info[what] = count
    if benchmark.stats is None:
        return
    rate = round(count / benchmark.stats.stats.median)
    benchmark.extra_info[f"{what}_per_second"] = rate
    benchmark.stats.name += f" [{rate:,} {what}/s]"
