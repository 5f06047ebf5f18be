"""Matches between a bank account's items: found by the rules, made by hand, undone by a new record.

An item is in one match at most that was not undone: whoever takes it must take it from the open
items, under the account's lock. Both sides of a match agree to the minor unit.
"""

import asyncio
import datetime
import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from hpts.domain.audit import Action
from hpts.domain.bank_accounts import BankAccount
from hpts.domain.bank_items import BANK, LEDGER, Item, ItemKey
from hpts.domain.bank_matching import Match, match_items
from hpts.domain.bank_sums import total
from hpts.domain.limits import (
    BANK_MATCH_WINDOW_DAYS,
    BANK_OPEN_ITEMS_MAX,
    BANK_REFERENCE_DAYS_MAX,
    BANK_REFUSED_ITEMS_MAX,
)
from hpts.store.bank_ledger import collect_cash_lines
from hpts.store.bank_session import Actor, BankSession, BankSessions

BY_RULE = Actor("hpts")


class MatchRefused(Exception):
    """A match cannot be made or undone; the message says why."""


async def refresh(sessions: BankSessions, tenant_id: bytes, account: BankAccount) -> None:
    """Take over new cash lines, and match where anybody took over some, or set some free, since the
    last time. Raises what BankSessions raises."""
    await collect_cash_lines(sessions, tenant_id, account)
    async with sessions.open(tenant_id) as session:
        cursor = await session.lock(account.bank_account_ref)
        if cursor.matching_is_due:
            await match_open_items(session, account)


async def refresh_all(sessions: BankSessions, tenant_id: bytes) -> list[BankAccount]:
    """The tenant's bank accounts, each brought up to date. Raises what BankSessions raises."""
    async with sessions.open(tenant_id) as session:
        accounts = await session.bank_accounts()
    for account in accounts:
        await refresh(sessions, tenant_id, account)
    return accounts


async def match_open_items(session: BankSession, account: BankAccount) -> int:
    """Match by the rules, under the account's lock; how many matches came of it."""
    ref = account.bank_account_ref
    await session.run("set_bank_matching_due", bank_account_ref=ref, is_due=False)
    last = await session.row("read_last_bank_statement", bank_account_ref=ref)
    if last is None:
        return 0  # there is nothing to match with
    rows = await _open_rows(session, ref, BANK, last[0])
    # No rule reaches further; without lines of the bank there is but what the bank should know of.
    reach = datetime.timedelta(BANK_REFERENCE_DAYS_MAX if rows else 0)
    rows += await _open_rows(session, ref, LEDGER, last[0] + reach)
    refused = await session.rows(
        "read_refused_bank_items", bank_account_ref=ref, count=BANK_REFUSED_ITEMS_MAX
    )
    found = await asyncio.to_thread(_match, rows, refused, last[0])
    await _insert(session, ref, found, BY_RULE)
    return len(found)


async def _open_rows(
    session: BankSession, bank_account_ref: str, side: str, until: datetime.date
) -> list[Any]:
    return await session.rows(
        "read_open_bank_items",
        bank_account_ref=bank_account_ref,
        side=side,
        until=until,
        count=BANK_OPEN_ITEMS_MAX,
    )


async def match_by_hand(
    session: BankSession, bank_account_ref: str, items: Sequence[ItemKey], reason: str, actor: Actor
) -> uuid.UUID:
    """Match items because a person says so, as the last thing in the transaction; the
    match. Raises MatchRefused."""
    await _lock(session, bank_account_ref)
    wanted = list(dict.fromkeys(items))
    rows = await session.rows(
        "find_open_bank_items", bank_account_ref=bank_account_ref, items=_keys(wanted)
    )
    found = sorted(map(_item, rows), key=lambda item: item.key)
    missing = sorted(set(wanted) - {item.key for item in found})
    if missing or len(found) < 2:
        shown = ", ".join(f"{key.source_id}.{key.sequence}" for key in missing[:5])
        raise MatchRefused(
            f"not unmatched in this bank account: {shown}" if missing else "name two items or more"
        )
    banks = total(item for item in found if item.key.side == BANK)
    ledgers = total(item for item in found if item.key.side == LEDGER)
    if banks != ledgers:
        raise MatchRefused(f"the bank's side moves {banks}, the ledger's {ledgers} minor units")
    match = Match("manual", tuple(found), reason)
    (made,) = await _insert(session, bank_account_ref, [match], actor)
    said = {"reason": reason, "items": len(found)}
    await session.record(Action.BANK_MATCH_MAKE, str(made), said, actor)
    return made


async def undo_match(session: BankSession, match_id: uuid.UUID, reason: str, actor: Actor) -> str:
    """Undo a match in the session's transaction, as the last thing in it; its bank account. Raises
    LookupError where there is none, MatchRefused where it was undone before."""
    row = await session.row("read_bank_match", match_id=match_id)
    if row is None:
        raise LookupError(match_id)
    ref = str(row[0])
    await session.lock(ref)
    _, is_undone = await session.row("read_bank_match", match_id=match_id)
    if is_undone:
        raise MatchRefused("the match was undone before")
    await session.run("insert_bank_match_undo", match_id=match_id, reason=reason, actor=actor.name)
    await session.run("reopen_bank_items", match_id=match_id)
    await session.run("set_bank_matching_due", bank_account_ref=ref, is_due=True)
    await session.record(Action.BANK_MATCH_UNDO, str(match_id), {"reason": reason}, actor)
    return ref


async def _lock(session: BankSession, bank_account_ref: str) -> None:
    try:
        await session.lock(bank_account_ref)
    except LookupError:
        raise MatchRefused(f"there is no bank account {bank_account_ref!r}") from None


async def _insert(
    session: BankSession, bank_account_ref: str, matches: Sequence[Match], actor: Actor
) -> list[uuid.UUID]:
    if not matches:
        return []
    made = [uuid.uuid4() for _ in matches]
    written, items, item_count = await asyncio.to_thread(_render, made, matches)
    await session.run(
        "insert_bank_matches",
        bank_account_ref=bank_account_ref,
        matches=written,
        actor=actor.name,
    )
    await session.run("insert_bank_match_items", items=items)
    closed = await session.run("close_bank_items", bank_account_ref=bank_account_ref, items=items)
    if closed.rowcount != item_count:
        raise RuntimeError("a match took an item that was not open")
    return made


def _render(made: Sequence[uuid.UUID], matches: Sequence[Match]) -> tuple[str, str, int]:
    """The matches and their items as JSON, and how many items there are."""
    rows = [
        {
            "match_id": str(match_id),
            "position": position,
            "rule": match.rule,
            "explanation": match.explanation,
            "amount_minor": match.amount_minor,
            "first_date": min(item.day for item in match.items).isoformat(),
            "last_date": max(item.day for item in match.items).isoformat(),
        }
        for position, (match_id, match) in enumerate(zip(made, matches, strict=True), 1)
    ]
    items = [
        {"match_id": str(match_id), "item_date": item.day.isoformat(), **item.key._asdict()}
        for match_id, match in zip(made, matches, strict=True)
        for item in match.items
    ]
    return json.dumps(rows), json.dumps(items), len(items)


def _match(rows: list[Any], refused_rows: list[Any], offset_until: datetime.date) -> list[Match]:
    refused: dict[ItemKey, set[uuid.UUID]] = {}
    for match_id, *key in refused_rows:
        refused.setdefault(_key(*key), set()).add(match_id)
    return match_items(
        [_item(row) for row in rows],
        window_days=BANK_MATCH_WINDOW_DAYS,
        refused=refused,
        offset_until=offset_until,
    )


def _item(row: tuple[Any, ...]) -> Item:
    side, source_id, sequence, amount, day, references, text, batch, reverses, is_reversal = row
    return Item(
        _key(side, source_id, sequence),
        amount,
        day,
        tuple(references),
        text,
        batch,
        "" if reverses is None else str(reverses),
        is_reversal,
    )


def _key(side: str | bytes, source_id: uuid.UUID, sequence: int) -> ItemKey:
    return ItemKey(side.decode() if isinstance(side, bytes) else side, str(source_id), sequence)


def _keys(keys: Iterable[ItemKey]) -> str:
    return json.dumps([key._asdict() for key in keys])
