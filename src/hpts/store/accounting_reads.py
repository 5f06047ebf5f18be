"""The queries behind trial balances, statements and exports, rows in PostgreSQL's text format.

Each answer is of one moment, for it is one statement's. Reads take no locks and see only committed
postings. Whoever calls turns rows into replies.
"""

import uuid
from typing import NamedTuple

from hpts.domain.accounts import Account
from hpts.store.pool import Pool
from hpts.store.tenancy import run_for_tenant
from hpts.store.wire import Rows, Step


class AccountSum(NamedTuple):
    """Everything debited and credited to an account in a currency, in minor units."""

    account_code: int
    currency: str
    debit_minor: int
    credit_minor: int


class AccountingReads:
    """The queries of one database, over a pool of wires. All raise TenantUnknown, ConnectionLost,
    StatementFailed and PoolBusy."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accounts(self, tenant_id: bytes) -> list[Account]:
        """The tenant's chart, in the order of codes."""
        (accounts,) = await self._run(tenant_id, _step("read_accounts", tenant_id))
        return _accounts(accounts)

    async def trial_balance(
        self, tenant_id: bytes, *, layer: str, currency: str | None, as_of_date: str | None
    ) -> tuple[list[Account], list[AccountSum]]:
        """The chart, and the sums of the accounts that were ever posted to in `layer` (a letter),
        by currency: all of them or one; all that is posted, or what is effective by a day."""
        which = (layer.encode(), _optional(currency))
        accounts, sums = await self._run(
            tenant_id,
            _step("read_accounts", tenant_id),
            _step("sum_trial_balance", tenant_id, *which)
            if as_of_date is None
            else _step("sum_trial_balance_as_of", tenant_id, *which, as_of_date.encode()),
        )
        return _accounts(accounts), [
            AccountSum(int(code or 0), _text(currency), int(debit or 0), int(credit or 0))
            for code, currency, debit, credit in sums
        ]

    async def _run(self, tenant_id: bytes, *steps: Step) -> list[Rows]:
        return await run_for_tenant(self._pool, tenant_id, *steps)


def _step(statement: str, tenant_id: bytes, *parameters: bytes | None) -> Step:
    return Step(statement, (str(uuid.UUID(bytes=tenant_id)).encode(), *parameters), True)


def _text(cell: bytes | None) -> str:
    return (cell or b"").decode()


def _optional(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _accounts(rows: Rows) -> list[Account]:
    return [
        Account(int(code or 0), *((cell or b"").decode() for cell in others))
        for code, *others in rows
    ]
