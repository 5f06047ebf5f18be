"""`hpts bank items`, `match`, `unmatch`: what is unmatched, and what a person says about it."""

import argparse
import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpts.commands.arguments import (
    CommandError,
    Commands,
    add_command,
    add_tenant_argument,
    database_of,
    database_said,
    no_tenant,
)
from hpts.config import Settings
from hpts.domain.bank_accounts import BankAccountRefused
from hpts.domain.bank_items import ItemKey, format_item, parse_item
from hpts.domain.bank_statements import StatementInvalid
from hpts.domain.limits import PAGE_SIZE_MAX

if TYPE_CHECKING:
    from hpts.store.bank_reads import ShownItem
    from hpts.store.bank_session import Actor, BankSessions

STATUSES = ("unmatched", "matched")


def add_item_commands(actions: Commands) -> None:
    """The commands below `hpts bank`."""
    items = add_command(actions, "items", _items, "List what is unmatched, or matched and why.")
    add_tenant_argument(items)
    items.add_argument("--ref", required=True, help="the bank account")
    items.add_argument(
        "--status", choices=STATUSES, default="unmatched", help="which (default: %(default)s)"
    )
    matched = add_command(
        actions,
        "match",
        _match,
        "Match items by hand; prints the match.",
        "They must be unmatched, of both sides, and move the same amount on each.",
    )
    add_tenant_argument(matched)
    matched.add_argument("--ref", required=True, help="the bank account")
    matched.add_argument("--reason", required=True, help="why they are the same money")
    matched.add_argument("items", nargs="+", type=_item, metavar="ITEM", help="as `items` shows it")
    undone = add_command(
        actions,
        "unmatch",
        _unmatch,
        "Undo a wrong match by a new record.",
        "Its items are unmatched again, and no rule will match them with each other.",
    )
    add_tenant_argument(undone)
    undone.add_argument("match_id", type=uuid.UUID, metavar="MATCH", help="as `items` shows it")
    undone.add_argument("--reason", required=True, help="why they are not the same money")


def _item(text: str) -> ItemKey:
    try:
        return parse_item(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _items(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.bank_reads import BEFORE_ALL, cursor_of, read_items  # noqa: PLC0415

    async def show_all() -> None:
        after = BEFORE_ALL[chosen.status]
        async with sessions_of(settings).open(chosen.tenant.bytes) as session:
            accounts = await session.bank_accounts()
            if chosen.ref not in {one.bank_account_ref for one in accounts}:
                raise CommandError(f"there is no bank account {chosen.ref!r}")
            while found := await read_items(
                session, chosen.ref, chosen.status, after, PAGE_SIZE_MAX
            ):
                for item in found:
                    _show(item)
                after = cursor_of(found[-1])

    with refusals(chosen.tenant):
        asyncio.run(show_all())
    return 0


def _show(item: "ShownItem") -> None:
    named = ", ".join(item.references)
    print(f"{item.day}  {item.amount_minor:>12}  {format_item(item.key)}  {named}  {item.text}")
    if item.match is not None:
        match = item.match
        print(f"    {match.match_id}  {match.rule}: {match.explanation}")


def _match(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.bank_matches import match_by_hand  # noqa: PLC0415

    async def match() -> uuid.UUID:
        async with sessions_of(settings).open(chosen.tenant.bytes) as session:
            return await match_by_hand(
                session, chosen.ref, chosen.items, chosen.reason, this_operator()
            )

    with refusals(chosen.tenant):
        print(asyncio.run(match()))
    return 0


def _unmatch(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.bank_matches import undo_match  # noqa: PLC0415

    async def undo() -> None:
        async with sessions_of(settings).open(chosen.tenant.bytes) as session:
            await undo_match(session, chosen.match_id, chosen.reason, this_operator())

    with refusals(chosen.tenant):
        try:
            asyncio.run(undo())
        except LookupError:
            raise CommandError(f"there is no match {chosen.match_id}") from None
    return 0


def sessions_of(settings: Settings) -> "BankSessions":
    """Transactions on the database that the command works on."""
    from hpts.store.admin_requests import AdminRequests  # noqa: PLC0415
    from hpts.store.bank_session import BankSessions  # noqa: PLC0415

    return BankSessions(AdminRequests(database_of(settings)))


def this_operator() -> "Actor":
    """Who runs the command."""
    from hpts.store.audit import operator  # noqa: PLC0415
    from hpts.store.bank_session import Actor  # noqa: PLC0415

    return Actor(*operator())


@contextmanager
def refusals(tenant_id: uuid.UUID) -> Iterator[None]:
    """Raises CommandError for what is refused, with what to do."""
    from hpts.store.bank_matches import MatchRefused  # noqa: PLC0415
    from hpts.store.tenancy import TenantUnknown  # noqa: PLC0415
    from hpts.store.wire import ConnectionLost, StatementFailed  # noqa: PLC0415

    try:
        yield
    except (BankAccountRefused, MatchRefused) as error:
        raise CommandError(str(error)) from error
    except StatementInvalid as error:
        raise CommandError("nothing was imported:\n" + listed(error)) from error
    except TenantUnknown:
        raise no_tenant(tenant_id) from None
    except (ConnectionLost, StatementFailed) as error:
        raise CommandError(database_said(error)) from error


def listed(error: StatementInvalid, name: str = "") -> str:
    """A line for everything that is wrong with a file."""
    before = f"{name}, " if name else ""
    return "\n".join(f"  {before}{one.field}: {one.message}" for one in error.errors)
