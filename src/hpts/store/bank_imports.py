"""Imports statements: all of a file or nothing, and nothing twice.

A statement is known by its content, in another format by what is the same there. A line that stood
in an earlier statement of the account is kept and marked, and does not count again.
"""

import datetime
import uuid
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from hpts.bank_files.reader import Reading
from hpts.domain.audit import Action
from hpts.domain.bank_accounts import BankAccount
from hpts.domain.bank_statements import (
    Errors,
    Statement,
    StatementInvalid,
    content_digest,
    identity_of,
    invalid,
    outline_digest,
)
from hpts.store.bank_ledger import collect_cash_lines, insert_items, statement_line
from hpts.store.bank_matches import match_open_items
from hpts.store.bank_session import Actor, BankSession, BankSessions

KEPT = (
    "statement_ref",
    "from_date",
    "to_date",
    "opening_minor",
    "opening_is_stated",
    "closing_minor",
)


class StatementFile(NamedTuple):
    """A file that was read: its name for messages, its bytes' digest, its statements."""

    name: str
    digest: bytes
    reading: Reading


class Imported(NamedTuple):
    """What became of a statement. `is_new` is false for one that was imported before;
    `gap_minor` is by how much it does not go on where the last one ended."""

    bank_account_ref: str
    statement_id: uuid.UUID
    statement: Statement
    is_new: bool
    line_count: int
    repeated_line_count: int
    gap_minor: int


class _Last(NamedTuple):
    """The account's latest statement: its last day and closing balance; how many there are."""

    to_date: datetime.date
    closing_minor: int
    number: int


def file_of(name: str, content: bytes, reading: Reading) -> StatementFile:
    """A file that was read."""
    return StatementFile(name, sha256(content).digest(), reading)


async def import_statements(
    sessions: BankSessions, tenant_id: bytes, files: Sequence[StatementFile], actor: Actor
) -> tuple[list[Imported], int]:
    """Import all statements of the files or none; what became of each, and how many matches came
    of it. Raises StatementInvalid, and what BankSessions raises."""
    await take_over_cash_lines(sessions, tenant_id, files)
    async with sessions.open(tenant_id) as session:
        return await import_files(session, files, actor)


async def take_over_cash_lines(
    sessions: BankSessions, tenant_id: bytes, files: Sequence[StatementFile]
) -> None:
    """What the ledger committed for the files' bank accounts, before the import's transaction, so
    that it finds something to match. Raises as import_statements."""
    async with sessions.open(tenant_id) as session:
        wanted = await _accounts_of(session, files)
    for account in sorted(set(wanted.values())):
        await collect_cash_lines(sessions, tenant_id, account)


async def import_files(
    session: BankSession, files: Sequence[StatementFile], actor: Actor
) -> tuple[list[Imported], int]:
    """Import the files' statements and match, as the last thing in the transaction. Raises
    StatementInvalid for an account that is unknown or in another currency."""
    wanted = await _accounts_of(session, files)
    accounts = sorted(set(wanted.values()))
    for account in accounts:
        await session.lock(account.bank_account_ref)
    by_file = [
        [
            await _import(session, wanted[statement.identifier], file, statement, actor)
            for statement in file.reading.statements
        ]
        for file in files
    ]
    done = [one for imported in by_file for one in imported]
    touched = {one.bank_account_ref for one in done if one.is_new}
    match_count = 0
    for account in accounts:
        if account.bank_account_ref in touched:
            match_count += await match_open_items(session, account)
    for file, imported in zip(files, by_file, strict=True):
        await _record(session, file, imported, actor)
    return done, match_count


async def _accounts_of(
    session: BankSession, files: Sequence[StatementFile]
) -> dict[str, BankAccount]:
    """The bank account of every identifier in the files."""
    known = await session.bank_accounts()
    accounts = {name: one for one in known for name in one.identifiers}
    errors, found = Errors(), dict[str, BankAccount]()
    for file in files:
        for statement in file.reading.statements:
            try:
                found[statement.identifier] = _account_of(statement, accounts)
            except StatementInvalid as error:
                errors.add(error)
    errors.check()
    return found


def _account_of(statement: Statement, accounts: dict[str, BankAccount]) -> BankAccount:
    account = accounts.get(statement.identifier)
    if account is None:
        raise invalid(
            statement.place,
            f"no bank account is known as {statement.identifier!r}; add it first",
            "unknown_account",
        )
    if account.currency != statement.currency:
        raise invalid(
            statement.place,
            f"bank account {account.bank_account_ref!r} is in {account.currency}, "
            f"the statement in {statement.currency}",
            "currency",
        )
    return account


async def _import(
    session: BankSession,
    account: BankAccount,
    file: StatementFile,
    statement: Statement,
    actor: Actor,
) -> Imported:
    ref = account.bank_account_ref
    content = content_digest(statement)
    digests = {
        "content_digest": content,
        "outline_digest": outline_digest(statement),
        "file_format": file.reading.format,
    }
    known = await session.row("find_bank_statement", bank_account_ref=ref, **digests)
    if known is not None:
        statement_id, _, line_count, repeated = known
        return Imported(ref, statement_id, statement, False, line_count, repeated, 0)
    last = await _last(session, ref)
    repeated_at = await _repeated(session, ref, statement, last)
    made = _statement_id(content)
    counted = [
        line.amount_minor for at, line in enumerate(statement.lines) if at not in repeated_at
    ]
    await session.run(
        "insert_bank_statement",
        statement_id=made,
        bank_account_ref=ref,
        statement_number=1 if last is None else last.number + 1,
        file_digest=file.digest,
        counted_minor=sum(counted),
        line_count=len(statement.lines),
        repeated_line_count=len(repeated_at),
        actor=actor.name,
        **{name: getattr(statement, name) for name in KEPT},
        **digests,
    )
    await insert_items(
        session,
        account,
        [
            statement_line(made, at + 1, line, is_repeated=at in repeated_at)
            for at, line in enumerate(statement.lines)
        ],
    )
    gap = 0 if last is None else statement.closing_minor - sum(counted) - last.closing_minor
    return Imported(ref, made, statement, True, len(statement.lines), len(repeated_at), gap)


def _statement_id(content: bytes) -> uuid.UUID:
    """By its content, so that the same statements give the same items, and pairs of items that are
    alike, wherever and in whatever order they are imported."""
    return uuid.UUID(bytes=content[:16], version=5)


async def _last(session: BankSession, bank_account_ref: str) -> _Last | None:
    row = await session.row("read_last_bank_statement", bank_account_ref=bank_account_ref)
    return None if row is None else _Last(*row)


async def _repeated(
    session: BankSession, bank_account_ref: str, statement: Statement, last: _Last | None
) -> set[int]:
    """Which lines stood in an earlier statement. None do where the statement goes on from the
    last one by day and by a balance that it states and moves: it cannot be the same money then."""
    if last is None or _goes_on(statement, last):
        return set()
    identities = [identity_of(line) for line in statement.lines]
    counts = await session.rows(
        "count_bank_lines", bank_account_ref=bank_account_ref, identities=list(set(identities))
    )
    seen = Counter(dict(counts))
    found = set()
    for at, identity in enumerate(identities):
        if seen[identity] > 0:
            seen[identity] -= 1
            found.add(at)
    return found


def _goes_on(statement: Statement, last: _Last) -> bool:
    return (
        statement.opening_is_stated
        and statement.opening_minor == last.closing_minor
        and statement.closing_minor != statement.opening_minor
        and statement.from_date >= last.to_date
    )


async def _record(
    session: BankSession, file: StatementFile, done: Sequence[Imported], actor: Actor
) -> None:
    said = {
        "file_digest": file.digest.hex(),
        "format": file.reading.format,
        "bank_accounts": sorted({one.bank_account_ref for one in done})[:10],
        "new_statements": sum(one.is_new for one in done),
        "known_statements": sum(not one.is_new for one in done),
    }
    await session.record(Action.BANK_STATEMENT_IMPORT, file.name, said, actor)
