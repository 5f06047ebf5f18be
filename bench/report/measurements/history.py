"""Reads of the past at a fixed rate (open loop): balances as of a day, pages of a journal.

Three tenants with a payment each day for 1, 5 and 10 years, posted with those days: the balance of
the cash account as of days at random in it. A loan with 5,000 entries: its first page of 50
entries, and the ten pages before its last, reached by their tokens. The rate leaves the cores room:
at saturation a latency says how the processes were scheduled, not how long a read takes.
"""

import asyncio
import datetime
import functools
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.report import open_loop as generator
from bench.report.figures import Target, at_most, at_most_ratio, median, shown_number
from bench.report.posting_client import Command, disbursement, identifier, payment, post_all
from bench.report.programs import MeasurementFailed, say
from bench.report.results import Results
from bench.report.run import Run
from bench.report.stage import Stage
from hpts.domain.entries import date_of, day_of
from hpts.ledger import Ledger

NAME = "history"
TITLE = "The past"
CONNECTIONS = 16
BALANCES_PER_SECOND, PAGES_PER_SECOND = 500.0, 100.0
DAYS_READ = 365
PAGE_SIZE = 50
DEEP_PAGES = 10
PAGES_MAX = 1_000
POST_SECONDS_MAX = 120
CASH = "1000"
SAME_FACTOR = 1.3
"""Two medians within it count as the same: repetitions of one and the same differ by as much."""
FIRST, DEEP = "first page", "deep pages"


class _Subject(NamedTuple):
    """What is read: with which token, the paths of which file, how often a second."""

    token: str
    paths: Path
    rate: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The repetitions of each subject, by its name."""

    entries: int
    arrivals: dict[str, tuple[generator.Arrivals, ...]]

    def middle(self, subject: str, field: str) -> float:
        """The median over the repetitions."""
        return median([getattr(each, field) for each in self.arrivals.get(subject, ())])


def _of(subject: str, field: str, results: Results) -> float:
    return results.get(NAME, Figures).middle(subject, field)


def _years(count: int) -> str:
    return f"{count} year{'s' * (count > 1)}"


def _p99_target(title: str, subject: str, bound: float) -> Target:
    return at_most(
        f"{title}, p99: at most {bound:g} ms",
        functools.partial(_of, subject, "p99_ms"),
        bound,
        " ms",
    )


def _same_target(title: str, subject: str, base: str) -> Target:
    return at_most_ratio(
        f"{title}, median: at most {SAME_FACTOR:g} x",
        functools.partial(_of, subject, "p50_ms"),
        functools.partial(_of, base, "p50_ms"),
        SAME_FACTOR,
        " ms",
    )


TARGETS = (
    *(
        _p99_target(f"account balance as of a day, {_years(count)} of history", _years(count), 15)
        for count in (1, 5, 10)
    ),
    _same_target("account balance, 10 years of history to 1 year", _years(10), _years(1)),
    _p99_target("journal of a loan of 5,000 entries, first page", FIRST, 20),
    _p99_target("journal of a loan of 5,000 entries, deep pages", DEEP, 20),
    _same_target("journal, deep pages to the first", DEEP, FIRST),
)


def measure(run: Run) -> Figures:
    """Post the histories, then read each in turns."""
    stage, plan = run.stage, run.plan
    subjects = {_years(years): _balances(stage, years) for years in plan.history_years}
    subjects |= _pages(stage, plan.history_entries)
    found: dict[str, list[generator.Arrivals]] = {name: [] for name in subjects}
    for _ in range(plan.repetitions):
        for name, subject in subjects.items():
            arrivals = generator.measure(
                stage.base_url,
                subject.token,
                subject.paths,
                rate=subject.rate,
                seconds=plan.history_seconds,
                connections=CONNECTIONS,
                reads=True,
            )
            if arrivals.failed:
                raise MeasurementFailed(f"{arrivals.failed} reads failed: {name}")
            found[name].append(arrivals)
            say(f"  {name}: p50 {arrivals.p50_ms:.1f}, p99 {arrivals.p99_ms:.1f} ms")
    return Figures(
        entries=plan.history_entries,
        arrivals={name: tuple(each) for name, each in found.items()},
    )


def _today() -> int:
    return day_of(datetime.datetime.now(datetime.UTC).date())


def _balances(stage: Stage, years: int) -> _Subject:
    """A tenant with a payment on each day of so many years, and reads of its past."""
    tenant_id = stage.add_tenant(f"history of {_years(years)}")
    days = range(_today() - round(years * 365.25), _today())
    asyncio.run(_post_days(stage.database_url, tenant_id, days))
    drawn = random.Random(years).choices(days, k=DAYS_READ)
    paths = [
        f"/v1/accounts/{CASH}/balance?currency=USD&as_of_date={date_of(day).isoformat()}"
        for day in drawn
    ]
    return _subject(stage, stage.token(tenant_id), f"history-{years}", paths, BALANCES_PER_SECOND)


async def _post_days(database_url: str, tenant_id: uuid.UUID, days: range) -> None:
    loan_id = identifier("history", tenant_id.bytes)

    def commands() -> Iterator[Command]:
        yield disbursement(loan_id, 100_000_000, days[0])
        for day in days:
            yield payment(loan_id, 100, day)

    await _post(database_url, tenant_id, commands())


async def _post(database_url: str, tenant_id: uuid.UUID, commands: Iterator[Command]) -> None:
    ledger = Ledger(database_url)
    try:
        async with asyncio.timeout(POST_SECONDS_MAX):
            await post_all(ledger, tenant_id, commands, posters=1)
    finally:
        await ledger.close()


def _pages(stage: Stage, entries: int) -> dict[str, _Subject]:
    """A loan with so many entries, and reads of its first and its deep pages."""
    tenant_id = stage.add_tenant("a long journal")
    loan_id = identifier("journal", tenant_id.bytes)
    today = _today()

    def commands() -> Iterator[Command]:
        yield disbursement(loan_id, 100_000_000, today)
        for _ in range(entries - 1):
            yield payment(loan_id, 100, today)

    asyncio.run(_post(stage.database_url, tenant_id, commands()))
    token = stage.token(tenant_id)
    pages = _walk(stage, token, uuid.UUID(bytes=loan_id))
    return {
        FIRST: _subject(stage, token, "first-page", pages[:1], PAGES_PER_SECOND),
        DEEP: _subject(stage, token, "deep-pages", pages[-1 - DEEP_PAGES : -1], PAGES_PER_SECOND),
    }


def _subject(stage: Stage, token: str, name: str, paths: list[str], rate: float) -> _Subject:
    if not paths:
        raise MeasurementFailed(f"nothing to read: {name}")
    return _Subject(token, stage.paths(name, generator.read_lines(paths)), rate)


def _walk(stage: Stage, token: str, loan_id: uuid.UUID) -> list[str]:
    """The paths of all pages, first to last."""
    first = f"/v1/loans/{loan_id}/journal-entries?page_size={PAGE_SIZE}"
    paths = [first]
    while len(paths) < PAGES_MAX:
        page = stage.get(paths[-1], token)
        if "next_page_token" not in page:
            return paths
        paths.append(f"{first}&page_token={page['next_page_token']}")
    raise MeasurementFailed("the pages of a journal do not end")


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    lines = [
        f"The journal's loan has {figures.entries:,} entries.",
        "",
        "| read | requests/s | p50 ms | p99 ms | p99.9 ms | max ms | generator late ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for subject in figures.arrivals:
        rate = figures.middle(subject, "achieved")
        times = " | ".join(
            shown_number(figures.middle(subject, field))
            for field in ("p50_ms", "p99_ms", "p999_ms", "max_ms", "generator_late_ms")
        )
        lines.append(f"| {subject} | {rate:,.0f} | {times} |")
    return lines
