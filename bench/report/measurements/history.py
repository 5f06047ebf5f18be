"""Reads of the past by 8 closed-loop connections: balances as of a day, pages of a journal.

Three tenants with a payment each day for 1, 5 and 10 years, posted with those days: the balance of
the cash account as of days at random in it. A loan with 5,000 entries: its first page of 50
entries, and the ten pages before its last, reached by their tokens.
"""

import asyncio
import datetime
import functools
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.report import wrk
from bench.report.figures import Target, at_most, at_most_ratio, median, shown_number
from bench.report.measurements.reads import check_all_answered
from bench.report.posting_client import Command, disbursement, identifier, payment, post_all
from bench.report.programs import MeasurementFailed, say
from bench.report.results import Results
from bench.report.run import Run
from bench.report.stage import Stage
from hpts.domain.entries import date_of, day_of
from hpts.ledger import Ledger

NAME = "history"
TITLE = "The past"
CONNECTIONS = 8
DAYS_READ = 365
PAGE_SIZE = 50
DEEP_PAGES = 10
PAGES_MAX = 1_000
POST_SECONDS_MAX = 120
CASH = "1000"
SAME_FACTOR = 1.3
"""Two medians within it count as the same: repetitions of one and the same differ by as much."""
FIRST, DEEP = "first page", "deep pages"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The repetitions of each subject, by its name."""

    entries: int
    loads: dict[str, tuple[wrk.Load, ...]]

    def middle(self, subject: str, field: str) -> float:
        """The median over the repetitions."""
        return median([getattr(load, field) for load in self.loads.get(subject, ())])


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
    scripts = {}
    for years in plan.history_years:
        scripts[_years(years)] = _balances(stage, years)
    scripts |= _pages(stage, plan.history_entries)
    loads: dict[str, list[wrk.Load]] = {subject: [] for subject in scripts}
    for _ in range(plan.repetitions):
        for subject, script in scripts.items():
            load = wrk.measure(
                stage.base_url, script, connections=CONNECTIONS, seconds=plan.history_seconds
            )
            check_all_answered(load)
            loads[subject].append(load)
            say(f"  {subject}: {load.rate:,.0f}/s, p99 {load.p99_ms:.1f} ms")
    return Figures(
        entries=plan.history_entries,
        loads={subject: tuple(each) for subject, each in loads.items()},
    )


def _today() -> int:
    return day_of(datetime.datetime.now(datetime.UTC).date())


def _balances(stage: Stage, years: int) -> wrk.Script:
    """A tenant with a payment on each day of so many years, and reads of its past."""
    tenant_id = stage.add_tenant(f"history of {_years(years)}")
    days = range(_today() - round(years * 365.25), _today())
    asyncio.run(_post_days(stage.database_url, tenant_id, days))
    drawn = random.Random(years).choices(days, k=DAYS_READ)
    paths = [
        f"/v1/accounts/{CASH}/balance?currency=USD&as_of_date={date_of(day).isoformat()}"
        for day in drawn
    ]
    return wrk.reads(stage.token(tenant_id), stage.paths(f"history-{years}", paths))


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


def _pages(stage: Stage, entries: int) -> dict[str, wrk.Script]:
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
        FIRST: wrk.reads(token, _file(stage, FIRST, pages[:1])),
        DEEP: wrk.reads(token, _file(stage, DEEP, pages[-1 - DEEP_PAGES : -1])),
    }


def _file(stage: Stage, subject: str, pages: list[str]) -> Path:
    if not pages:
        raise MeasurementFailed("the journal has too few pages")
    return stage.paths(subject.replace(" ", "-"), pages)


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
        "| read | requests/s | p50 ms | p99 ms | p99.9 ms |",
        "|---|---:|---:|---:|---:|",
    ]
    for subject in figures.loads:
        rate = median([load.rate for load in figures.loads[subject]])
        times = " | ".join(
            shown_number(figures.middle(subject, field))
            for field in ("p50_ms", "p99_ms", "p999_ms")
        )
        lines.append(f"| {subject} | {rate:,.0f} | {times} |")
    return lines
