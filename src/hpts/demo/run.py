"""The run: every pool lives through its days against the ledger, then everything is compared.

Pools run side by side, as they share no loan. Within a pool a day's accrual is posted before its
movements, and the next day begins when all of them are in; so each loan's order is fixed.
"""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from typing import TextIO

import msgspec
import uvloop

from hpts.demo import checks, report
from hpts.demo.bearer import BearerToken
from hpts.demo.client import Ledger, LedgerClient
from hpts.demo.concurrency import await_all
from hpts.demo.days import PoolDays
from hpts.demo.errors import DemoError
from hpts.demo.findings import Findings
from hpts.demo.journals import check_journals
from hpts.demo.oracle import Oracle
from hpts.demo.payloads import PostingRequest, PostingResult, ReversalRequest
from hpts.demo.portfolio import Portfolio, build_portfolio
from hpts.demo.postings import Posting
from hpts.demo.progress import Progress

_decode_result = msgspec.json.Decoder(PostingResult).decode


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`token` names a fresh tenant; a callable is asked again for a run that passes its expiry."""

    base_url: str
    token: str | Callable[[], str]
    loans: int = 1000
    months: int = 12
    seed: int = 1
    connections: int = 32
    today: date
    """In UTC; the portfolio ends on the day before."""

    def __post_init__(self) -> None:
        for name in ("loans", "months", "connections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")


def run_demo(options: DemoOptions, out: TextIO) -> int:
    """0 where the ledger agrees with the oracle in everything, else 1 and the reasons on `out`."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(options, out))
    except DemoError as error:
        out.write(f"\nThe demo stopped: {error}\n")
        return 1


async def run_portfolio(ledger: Ledger, portfolio: Portfolio, out: TextIO) -> int:
    """As run_demo, on a ledger at hand."""
    run = _Run(ledger, portfolio, out)
    await checks.refuse_used_tenant(ledger)
    _print_opening(portfolio, out)
    await run.live()
    progress = run.progress
    elapsed_ms = progress.elapsed_ms
    await run.compare()
    report.print_speed(progress.postings_count, progress.lines_count, elapsed_ms, out)
    report.print_verdict(run.findings, out)
    return 1 if run.findings.disagreements else 0


async def _run(options: DemoOptions, out: TextIO) -> int:
    token = BearerToken(options.token)
    portfolio = build_portfolio(
        tenant_id=token.tenant_id(),
        seed=options.seed,
        loan_count=options.loans,
        months=options.months,
        last_day=options.today - timedelta(days=1),
    )
    client = LedgerClient(options.base_url, token, options.connections)
    try:
        return await run_portfolio(client, portfolio, out)
    finally:
        client.close()


def _print_opening(portfolio: Portfolio, out: TextIO) -> None:
    out.write(f"{len(portfolio.loans):,} loans, {portfolio.first_day} to {portfolio.last_day}\n")
    for pool in portfolio.pools:
        count = sum(loan.pool == pool for loan in portfolio.loans)
        out.write(
            f"  {pool.program_name:<9}{pool.currency.code}  {pool.convention:<11}{count:>7,}\n"
        )
    out.flush()


class _Run:
    def __init__(self, ledger: Ledger, portfolio: Portfolio, out: TextIO) -> None:
        self.findings = Findings()
        self.progress = Progress(out, len(portfolio.pools) * len(portfolio.days()))
        self._ledger, self._portfolio, self._out = ledger, portfolio, out
        self._oracle = Oracle(loan.loan_id for loan in portfolio.audited)
        self._entry_ids: dict[str, str] = {}

    async def live(self) -> None:
        """Post all days of all pools."""
        await await_all(self._live_pool(pool_days) for pool_days in self._make_pool_days())

    async def compare(self) -> None:
        """Read everything back, compare it and print the tables."""
        ledger, portfolio, oracle = self._ledger, self._portfolio, self._oracle
        await checks.check_loans(ledger, portfolio.loans, oracle, self.findings)
        await checks.check_past_loans(ledger, portfolio, oracle, self.findings)
        await checks.check_past_accounts(ledger, portfolio, oracle, self.findings)
        await check_journals(ledger, portfolio, oracle, self._entry_ids, self.findings)
        balances = await checks.check_accounts(ledger, oracle, self.findings)
        report.print_trial_balances(balances, self.findings, self._out)
        status = await checks.check_reconciliation(ledger, self.findings)
        report.print_reconciliation(status, self._out)

    def _make_pool_days(self) -> list[PoolDays]:
        return [
            PoolDays(
                pool, [loan for loan in self._portfolio.loans if loan.pool == pool], self._oracle
            )
            for pool in self._portfolio.pools
        ]

    async def _live_pool(self, pool_days: PoolDays) -> None:
        for day in self._portfolio.days():
            await await_all(self._post(batch) for batch in pool_days.accrue(day))
            await await_all(self._post_in_order(moves) for moves in pool_days.move(day))
            self.progress.step()

    async def _post_in_order(self, postings: list[Posting]) -> None:
        for posting in postings:
            await self._post(posting)

    async def _post(self, posting: Posting) -> None:
        entry = posting.entry
        body = await self._ledger.post(
            posting.path, key=entry.key, body=self._complete_request(posting)
        )
        result = _decode_result(body)
        self._entry_ids[entry.key] = result.journal_entry_id
        self.progress.posted(len(entry.lines))
        self._compare_result(posting, result)

    def _complete_request(self, posting: Posting) -> PostingRequest:
        if posting.reverses_key is None or not isinstance(posting.request, ReversalRequest):
            return posting.request
        entry_id = self._entry_ids[posting.reverses_key]
        return msgspec.structs.replace(posting.request, reverses_entry_id=entry_id)

    def _compare_result(self, posting: Posting, result: PostingResult) -> None:
        reversed_id = self._entry_ids[posting.reverses_key] if posting.reverses_key else None
        self.findings.compare(
            "posting replies",
            f"reply to {posting.entry.key} (allocation, loans, accrued, reversed entry)",
            ledger=(
                result.allocation,
                result.loan_count,
                result.total_accrued_minor,
                result.reverses_entry_id,
            ),
            oracle=(
                posting.allocation,
                posting.loan_count,
                posting.total_accrued_minor,
                reversed_id,
            ),
        )
