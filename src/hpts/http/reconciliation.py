"""Reconciliation status: whether totals, loans and lines agree, brought up to date at each call."""

import asyncio
import datetime
import uuid
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.limits import (
    AMOUNT_MINOR_MAX,
    RECONCILIATIONS_AT_ONCE,
    RECONCILIATIONS_MAX,
    RECONCILIATIONS_PER_TENANT_MAX,
)
from hpts.http.messages import Request, Response, money_response
from hpts.http.parameters import Parameters
from hpts.http.problems import ProblemRaised
from hpts.store.bank_status import BankStatus
from hpts.store.reconcile import Reconciliation, ReconciliationBusy, reconcile

PARAMETERS = frozenset(("as_of_date",))
OK, DRIFT = "ok", "drift_detected"


class LedgerIntegrity(msgspec.Struct, frozen=True):
    status: str
    mismatched_account_count: int
    checked_at: str


class PortfolioRollup(msgspec.Struct, frozen=True):
    status: str
    gl_principal_minor: str | UnsetType
    sum_of_loan_balances_minor: str | UnsetType


class BankReconciliation(msgspec.Struct, frozen=True):
    bank_account_ref: str
    status: str
    difference_minor: str | UnsetType


class ReconciliationStatus(msgspec.Struct, frozen=True):
    as_of_date: str
    ledger_integrity: LedgerIntegrity
    bank_reconciliation: list[BankReconciliation]
    portfolio_rollup: PortfolioRollup


BankStatuses = Callable[[bytes, datetime.date], Awaitable[list[BankStatus]]]
"""How the bank accounts of a tenant stand at the end of a day."""
Found = tuple[Reconciliation, list[BankStatus]]


async def no_bank_accounts(_tenant_id: bytes, _day: datetime.date) -> list[BankStatus]:
    """What a ledger without bank accounts answers."""
    return []


class Reconciler:
    """Runs one reconciliation of a tenant and day at a time; whoever asks meanwhile shares it.

    It may have begun minutes ago, so `check_tenant` says once more whether the tenant is served.
    """

    def __init__(
        self,
        database_url: str,
        check_tenant: Callable[[bytes], Awaitable[None]],
        bank_statuses: BankStatuses = no_bank_accounts,
    ) -> None:
        self._bank_statuses = bank_statuses
        self._database_url = database_url
        self._check_tenant = check_tenant
        self._running: dict[tuple[bytes, str | None], asyncio.Task[Found]] = {}
        self._places = asyncio.Semaphore(RECONCILIATIONS_AT_ONCE)

    async def get_reconciliation_status(self, request: Request) -> Response:
        """The results of now, or those of a past day."""
        parameters = Parameters(request, PARAMETERS)
        as_of_date = parameters.date("as_of_date")
        parameters.check()
        place = (request.client().tenant_id, as_of_date)
        task = self._running.get(place)
        if task is None:
            self._check_room(place[0])
            task = asyncio.get_running_loop().create_task(self._run(*place))
            self._running[place] = task
            task.add_done_callback(lambda _: self._running.pop(place, None))
        found = await asyncio.shield(task)
        await self._check_tenant(place[0])
        return money_response(msgspec.json.encode(_status(*found)))

    def _check_room(self, tenant_id: bytes) -> None:
        of_tenant = sum(place[0] == tenant_id for place in self._running)
        is_full = len(self._running) >= RECONCILIATIONS_MAX
        if is_full or of_tenant >= RECONCILIATIONS_PER_TENANT_MAX:
            raise ProblemRaised("overloaded")

    async def _run(self, tenant_id: bytes, as_of_date: str | None) -> Found:
        day = None if as_of_date is None else datetime.date.fromisoformat(as_of_date)
        async with self._places:
            try:
                found = await asyncio.to_thread(
                    reconcile, self._database_url, uuid.UUID(bytes=tenant_id), day
                )
                return found, await self._bank_statuses(tenant_id, found.as_of_date)
            except ReconciliationBusy:
                raise ProblemRaised("overloaded") from None


def _status(found: Reconciliation, banks: list[BankStatus]) -> ReconciliationStatus:
    return ReconciliationStatus(
        as_of_date=found.as_of_date.isoformat(),
        ledger_integrity=LedgerIntegrity(
            DRIFT if found.mismatched_account_count else OK,
            found.mismatched_account_count,
            found.checked_at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        ),
        bank_reconciliation=[
            BankReconciliation(
                bank.bank_account_ref, bank.status, _amount(_control_total(bank.difference_minor))
            )
            for bank in banks
        ],
        portfolio_rollup=PortfolioRollup(
            DRIFT if found.principal_drifted else OK,
            _amount(found.gl_principal_minor),
            _amount(found.sum_of_loan_balances_minor),
        ),
    )


def _control_total(minor: int) -> int | None:
    return minor if minor <= AMOUNT_MINOR_MAX else None


def _amount(minor: int | None) -> str | UnsetType:
    return UNSET if minor is None else str(minor)
