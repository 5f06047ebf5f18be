"""Ledgers with one defect each. The simulation must find every one, or it proves nothing."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import hpts.decisions
import hpts.domain.payment
import hpts.ledger
import hpts.store.append
from hpts._posting import array_of
from hpts.decisions import Decisions
from hpts.domain.accounts import Chart
from hpts.domain.periods import Calendar
from hpts.domain.rejections import Refusal, Rejection
from hpts.ledger import (
    READ_ONLY,
    Ledger,
    _concerns_all,
    _open_decide_write,
    _tries_again,
)
from hpts.posting import DATABASE_UNAVAILABLE, Outcome, Posted, Posting
from hpts.store.append import Opened
from hpts.store.lanes import Lanes
from hpts.store.wire import ConnectFailed, StatementFailed, Step, Wire

from .database import FIRST_DAY

OID_DATE = 1082
Mutation = Callable[[], AbstractContextManager[Any]]
DECIDE, NOTE = Decisions.decide, Decisions._note
SUBMIT = Lanes.submit
RUN_BATCH = hpts.ledger._run_batch


def _in_ledger(name: str, broken: Any) -> Mutation:
    return lambda: mock.patch.object(hpts.ledger, name, broken)


def _in_decisions(name: str, broken: Any) -> Mutation:
    return lambda: mock.patch.object(hpts.decisions, name, broken)


def _in_decided(name: str, broken: Any) -> Mutation:
    return lambda: mock.patch.object(Decisions, name, broken)


def _answer_at_once(self: Decisions, posting: Posting, outcome: Outcome) -> None:
    NOTE(self, posting, outcome)
    posting.answer(outcome)


async def _give_up_after_loss(postings: Sequence[Posting], *, is_away: bool) -> Sequence[Posting]:
    for posting in postings:
        posting.answer(DATABASE_UNAVAILABLE)
    return ()


async def _repeat_all_after_loss(
    postings: Sequence[Posting], *, is_away: bool
) -> Sequence[Posting]:
    for posting in postings:
        posting.may_hold_key = True
    return postings


async def _wait_for_all_after_loss(
    postings: Sequence[Posting], *, is_away: bool
) -> Sequence[Posting]:
    return [posting for posting in postings if not posting.outcome.done()]


def _forget_earlier(self: Decisions, posting: Posting, is_claimed: bool) -> None:
    self._opened.earlier.clear()
    DECIDE(self, posting, is_claimed)


def _replay_any_body(self: Decisions, posting: Posting, is_claimed: bool) -> None:
    earlier = self._opened.earlier.get(posting.idempotency_key)
    if earlier and is_claimed and self._opened.tenant_is_active:
        is_replay = earlier.journal_entry_id not in posting.attempted_entry_ids
        self._note(posting, Posted(earlier.journal_entry_id, earlier.reply, is_replay))
    else:
        DECIDE(self, posting, is_claimed)


def _refuse_before_replay(self: Decisions, posting: Posting, is_claimed: bool) -> None:
    original = self._opened.original
    if is_claimed and original is not None and original.is_reversed:
        self._note(posting, Refusal(Rejection.ALREADY_REVERSED))
    else:
        DECIDE(self, posting, is_claimed)


def _look_at_tenant_first(self: Decisions, posting: Posting, is_claimed: bool) -> None:
    if self._opened.tenant_is_active:
        DECIDE(self, posting, is_claimed)
    else:
        self._note(posting, Refusal(Rejection.TENANT_UNKNOWN))


def _ignore_claims(self: Decisions, posting: Posting, is_claimed: bool) -> None:
    DECIDE(self, posting, True)


def _forget_attempts(self: Decisions, posting: Posting, is_claimed: bool) -> None:
    posting.attempted_entry_ids = ()
    DECIDE(self, posting, is_claimed)


def _forget_lost_keys(self: Decisions, posting: Posting, is_claimed: bool) -> None:
    posting.may_hold_key = False
    DECIDE(self, posting, is_claimed)


async def _all_one_by_one(
    wire: Wire, tenant_id: bytes, chart: Chart, postings: Sequence[Posting]
) -> Sequence[Posting]:
    if len(postings) == 1:
        return await RUN_BATCH(wire, tenant_id, chart, postings)
    try:
        return await _open_decide_write(wire, tenant_id, chart, postings)
    except StatementFailed as error:
        if error.sqlstate == READ_ONLY:
            wire.close()
            raise ConnectFailed("the server is read-only") from error
        await hpts.store.append.roll_back(wire)
        if _concerns_all(error):
            return [posting for posting in postings if _tries_again(posting, error)]
    retry: list[Posting] = []
    for posting in postings:
        retry += await RUN_BATCH(wire, tenant_id, chart, [posting])
    return retry


def _still_waited_for_ever(postings: Sequence[Posting]) -> Sequence[Posting]:
    return [posting for posting in postings if not posting.outcome.done()]


async def _no_roll_back(wire: Wire) -> None:
    pass


class _KeepsAll(set[Any]):
    def discard(self, element: Any) -> None:
        pass


class _HasNothing(set[Any]):
    def __contains__(self, element: object) -> bool:
        return False


def _with_in_flight(kind: type[set[Any]]) -> Mutation:
    original = Ledger.__init__

    def broken(self: Ledger, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self._in_flight = kind()

    return lambda: mock.patch.object(Ledger, "__init__", broken)


def _without_step(name: str) -> Mutation:
    original = hpts.store.append.write_steps

    def broken(*arguments: Any, **options: Any) -> list[Step]:
        return [step for step in original(*arguments, **options) if step.statement != name]

    return lambda: mock.patch.object(hpts.store.append, "write_steps", broken)


def _commit_first() -> Mutation:
    original = hpts.store.append.write_steps

    def broken(*arguments: Any, **options: Any) -> list[Step]:
        *steps, record, commit = original(*arguments, **options)
        is_recorded = record.statement == "record_audit_event"
        return [*steps, commit, record] if is_recorded else [*steps, record, commit]

    return lambda: mock.patch.object(hpts.store.append, "write_steps", broken)


def _slip_into_closed_periods() -> AbstractContextManager[Any]:
    original = hpts.store.append.write_steps

    def broken(*arguments: Any, **options: Any) -> list[Step]:
        return [
            Step(step.statement, (*step.parameters[:4], array_of(OID_DATE, [])))
            if step.statement == "append_block"
            else step
            for step in original(*arguments, **options)
        ]

    return mock.patch.object(hpts.store.append, "write_steps", broken)


def _with_opened(**changes: Any) -> Mutation:
    original = hpts.store.append.open_batch

    async def broken(*arguments: Any, **options: Any) -> Opened:
        return (await original(*arguments, **options))._replace(**changes)

    return _in_ledger("open_batch", broken)


class _ClockFirst:
    """A wire that reads the clock before it locks the loans."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire

    async def run(self, steps: list[Step]) -> Any:
        begin, claim, *others, clock = steps
        begun, claimed, told, *found = await self._wire.run([begin, claim, clock, *others])
        return [begun, claimed, *found, told]


def _clock_first() -> Mutation:
    original = hpts.store.append.open_batch

    async def broken(wire: Any, *arguments: Any, **options: Any) -> Opened:
        return await original(_ClockFirst(wire), *arguments, **options)  # type: ignore[arg-type]

    return _in_ledger("open_batch", broken)


class _InterestFirst:
    """A kernel's batch whose waterfall takes interest before fees."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def allocate(self, loan: int, amount: int) -> tuple[int, int, int, int]:
        principal, interest, fees = self._batch.loan_components(loan)
        parts, left = [], amount
        for owed in (interest, fees, principal):
            parts.append(min(left, owed))
            left -= parts[-1]
        return parts[1], parts[0], parts[2], left


def _interest_first() -> Mutation:
    original = hpts.domain.payment.write_payment
    return _in_decisions(
        "write_payment",
        lambda batch, *others: original(_InterestFirst(batch), *others),  # type: ignore[arg-type]
    )


def _submit_to_full(self: Lanes[Any], tenant_id: bytes, item: Any) -> None:
    self._queue_max = 10**9
    SUBMIT(self, tenant_id, item)


async def _drain_nothing(self: Lanes[Any]) -> None:
    pass


async def _drop_retries(self: Lanes[Any], tenant_id: bytes, lane: Any, batch: list[Any]) -> None:
    await self._run_batch(tenant_id, batch)
    self._writers_idle += 1
    lane.batches_running -= 1
    self._serve_again(tenant_id, lane)


async def _keep_writers(self: Lanes[Any], tenant_id: bytes, lane: Any, batch: list[Any]) -> None:
    retry = await self._run_batch(tenant_id, batch)
    lane.batches_running -= 1
    lane.waiting.extendleft(reversed(retry))
    self._serve_again(tenant_id, lane)


def _in_lanes(name: str, broken: Any) -> Mutation:
    return lambda: mock.patch.object(Lanes, name, broken)


MUTATIONS: dict[str, Mutation] = {
    "answers before COMMIT": _in_decided("_note", _answer_at_once),
    "gives up after a lost connection": _in_ledger("_after_loss", _give_up_after_loss),
    "repeats what was answered after a loss": _in_ledger("_after_loss", _repeat_all_after_loss),
    "waits for a database that is away": _in_ledger("_after_loss", _wait_for_all_after_loss),
    "does not look for earlier postings": _in_decided("decide", _forget_earlier),
    "replays whatever the body": _in_decided("decide", _replay_any_body),
    "applies rules before it looks for replays": _in_decided("decide", _refuse_before_replay),
    "ignores keys in use": _in_decided("decide", _ignore_claims),
    "takes its own entry for a replay": _in_decided("decide", _forget_attempts),
    "forgets that its lost connection holds keys": _in_decided("decide", _forget_lost_keys),
    "refuses what it posted before the tenant was suspended": _in_decided(
        "decide", _look_at_tenant_first
    ),
    "posts one by one past the deadline": _in_ledger("_run_batch", _all_one_by_one),
    "has no deadline": _in_ledger("_still_waited_for", _still_waited_for_ever),
    "posts to busy loans": _in_decided("_is_busy", lambda self, command: False),
    "does not roll back": _in_ledger("roll_back", _no_roll_back),
    "fails a batch for one posting": _in_ledger("_concerns_all", lambda error: True),
    "posts one by one what holds up all": _in_ledger("_concerns_all", lambda error: False),
    "keeps keys in flight": _with_in_flight(_KeepsAll),
    "has no keys in flight": _with_in_flight(_HasNothing),
    "does not commit": _without_step("commit"),
    "appends no block": _without_step("append_block"),
    "posts into a period that was closed meanwhile": _slip_into_closed_periods,
    "takes every day for open": _with_opened(calendar=Calendar(FIRST_DAY)),
    "forgets whose day a moved accrual is": _without_step("insert_moved_accrual"),
    "does not check totals": _without_step("check_account_totals"),
    "records no reversal": _without_step("record_audit_event"),
    "records a reversal after its COMMIT": _commit_first(),
    "allocates to interest before fees": _interest_first(),
    "has queues without a bound": _in_lanes("submit", _submit_to_full),
    "closes without draining": _in_lanes("drain", _drain_nothing),
    "drops what is to be tried again": _in_lanes("_drive", _drop_retries),
    "never gives a writer back": _in_lanes("_drive", _keep_writers),
    "serves suspended tenants": _with_opened(tenant_is_active=True),
    "reads the clock before it locks": _clock_first(),
    "accrues a loan twice for a day": _with_opened(accrued_loans=frozenset()),
}
