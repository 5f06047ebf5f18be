"""The chart of accounts as it is shown."""

import msgspec

from hpts.accounting.portions import DIRECTIONS
from hpts.domain.accounts import Account
from hpts.store.accounting_reads import AccountingReads


class ChartAccount(msgspec.Struct, frozen=True):
    account_code: str
    account_name: str
    account_type: str
    normal_balance: str
    role: str


class AccountList(msgspec.Struct, frozen=True):
    items: list[ChartAccount]


async def read_chart(reads: AccountingReads, tenant_id: bytes) -> AccountList:
    """The tenant's accounts, in the order of codes."""
    return AccountList([_shown(account) for account in await reads.accounts(tenant_id)])


def _shown(account: Account) -> ChartAccount:
    return ChartAccount(
        f"{account.account_code:04d}",
        account.name,
        account.account_type,
        DIRECTIONS[account.normal_balance],
        account.role,
    )
