"""Adding a bank account: which ledger account and currency is compared with which statements.

A bank account is never changed. One ledger account in one currency has one bank account.
"""

import psycopg

from hpts.domain.audit import Action
from hpts.domain.bank_accounts import BankAccount, BankAccountRefused
from hpts.store.bank_session import Actor, BankSession

REASONS = {
    "bank_account_ref_is_used_once": ("bank_account_ref", "is taken by another bank account"),
    "bank_account_identifier_is_used_once": ("identifiers", "are taken by another bank account"),
    "ledger_account_has_one_bank_account": (
        "account_code",
        "has a bank account in this currency already: one ledger account cannot follow two banks",
    ),
}


async def add_bank_account(session: BankSession, account: BankAccount, actor: Actor) -> None:
    """Add it, as the last thing in the transaction. Raises BankAccountRefused."""
    ref = account.bank_account_ref
    try:
        added = await session.run(
            "insert_bank_account",
            bank_account_ref=ref,
            account_code=account.account_code,
            currency=account.currency,
            actor=actor.name,
        )
        if not added.rowcount:
            raise BankAccountRefused("account_code", "is not in the tenant's chart")
        await session.run(
            "insert_bank_account_identifiers",
            bank_account_ref=ref,
            identifiers=list(account.identifiers),
        )
        await session.run("insert_bank_cursor", bank_account_ref=ref)
    except psycopg.IntegrityError as error:
        field, message = REASONS[error.diag.constraint_name or ""]
        raise BankAccountRefused(field, message) from error
    said = {"account_code": f"{account.account_code:04d}", "currency": account.currency}
    await session.record(Action.BANK_ACCOUNT_ADD, ref, said, actor)
