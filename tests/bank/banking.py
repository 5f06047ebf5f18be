"""Bank accounts of a tenant's books, worked with through the store, and CSV statements to order."""

import asyncio
import datetime
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hpts.bank_files.formats import read
from hpts.bank_files.reader import Reading
from hpts.domain.bank_accounts import make_bank_account
from hpts.domain.bank_items import ItemKey
from hpts.store.admin_requests import AdminRequests
from hpts.store.bank_accounts import add_bank_account
from hpts.store.bank_imports import Imported, file_of, import_statements
from hpts.store.bank_matches import match_by_hand, undo_match
from hpts.store.bank_session import Actor, BankSession, BankSessions
from hpts.store.bank_status import BankStatus, bank_statuses
from tests.store.ledger_fixture import Books, today

FILES = Path(__file__).parent / "files"
REF = "OPERATING"
CLERK = Actor("clerk")
HEADER = "record,account,currency,statement,date,value_date,amount,bank_reference,reference,text"
Found = TypeVar("Found")


class Line(NamedTuple):
    """A line of a CSV statement; `amount` is a decimal as the bank writes it."""

    date: str
    amount: str
    reference: str = ""
    bank_reference: str = ""
    text: str = ""


def csv_statement(
    *lines: Line,
    day: str,
    opening: str,
    closing: str,
    account: str = REF,
    currency: str = "USD",
    name: str = "",
) -> bytes:
    """A file of one statement that ends on `day`."""
    start = f"{account},{currency},{name or day}"
    first = min([line.date for line in lines] + [day])
    rows = [HEADER, f"opening,{start},{first},,{opening},,,"]
    rows += [
        f"line,{start},{line.date},,{line.amount},{line.bank_reference},{line.reference},{line.text}"
        for line in lines
    ]
    rows.append(f"closing,{start},{day},,{closing},,,")
    return "\n".join(rows).encode()


class Bank:
    """A tenant's bank accounts; the books' database."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.tenant = books.tenant_id.bytes
        self.sessions = BankSessions(AdminRequests(books.database_url))

    def within(self, action: Callable[[BankSession], Awaitable[Found]]) -> Found:
        """The result of one transaction."""

        async def run() -> Found:
            async with self.sessions.open(self.tenant) as session:
                return await action(session)

        return asyncio.run(run())

    def add_account(
        self, *identifiers: str, ref: str = REF, code: str = "1000", currency: str = "USD"
    ) -> None:
        account = make_bank_account(ref, code, currency, identifiers)
        self.within(lambda session: add_bank_account(session, account, CLERK))

    def import_files(self, *contents: bytes) -> tuple[list[Imported], int]:
        files = [file_of("file", one, Reading(*_read(one))) for one in contents]
        return asyncio.run(import_statements(self.sessions, self.tenant, files, CLERK))

    def import_one(self, content: bytes) -> Imported:
        (found,), _ = self.import_files(content)
        return found

    def status(self, day: str, pending_days: int = 5) -> BankStatus:
        (found,) = self.statuses(day, pending_days)
        return found

    def statuses(self, day: str, pending_days: int = 5) -> list[BankStatus]:
        on = datetime.date.fromisoformat(day)
        return asyncio.run(bank_statuses(self.sessions, self.tenant, on, pending_days))

    def match(
        self, keys: Sequence[ItemKey], reason: str = "as agreed", ref: str = REF
    ) -> uuid.UUID:
        return self.within(lambda session: match_by_hand(session, ref, keys, reason, CLERK))

    def undo(self, match_id: uuid.UUID, reason: str = "not the same") -> str:
        return self.within(lambda session: undo_match(session, match_id, reason, CLERK))

    def open_keys(self) -> list[ItemKey]:
        """Every unmatched item of the tenant."""
        return [
            ItemKey(side, str(source_id), sequence)
            for side, source_id, sequence in self.books.fetch(
                "SELECT side::text, source_id, sequence FROM bank_open_items WHERE tenant_id = %s"
            )
        ]

    def amount_of(self, key: ItemKey) -> int:
        """What an item moves."""
        query = (
            "SELECT amount_minor FROM bank_items WHERE tenant_id = %s AND side = %s"
            " AND source_id = %s AND sequence = %s"
        )
        return int(self.books.fetch(query, *key)[0][0])

    def matches(self) -> list[tuple[str, str, int]]:
        """(rule, explanation, number of items) of every match that stands, oldest first."""
        return [
            (rule, explanation, count)
            for rule, explanation, count in self.books.fetch(
                "SELECT rule, explanation, (SELECT count(*) FROM bank_match_items AS item"
                " WHERE item.tenant_id = made.tenant_id AND item.match_id = made.match_id)"
                " FROM bank_matches AS made WHERE tenant_id = %s AND NOT EXISTS (SELECT FROM"
                " bank_match_undos AS undone WHERE undone.tenant_id = made.tenant_id"
                " AND undone.match_id = made.match_id) ORDER BY match_number"
            )
        ]

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that is kept of the tenant's bank accounts, by table."""
        tables = [name for (name,) in self.books.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'bank\\_%%'"
            " AND %s::uuid IS NOT NULL ORDER BY relname"
        )]  # fmt: skip
        return {
            table: sorted(self.books.fetch(f"SELECT * FROM {table} WHERE tenant_id = %s"), key=repr)
            for table in tables
        }


def _read(content: bytes) -> tuple[str, tuple[Any, ...]]:
    """In this process: how a file is read in another is shown in test_reader.py."""
    name, statements = read(content, None)
    return name, tuple(statements)


def fill_bank_tables(books: Books) -> None:
    """A row at least in every table of bank reconciliation."""
    bank = Bank(books)
    bank.add_account()
    line = Line(today().isoformat(), "1.00", text="deposit")
    bank.import_one(csv_statement(line, day=today().isoformat(), opening="0.00", closing="1.00"))
    for (match_id,) in books.fetch("SELECT match_id FROM bank_matches WHERE tenant_id = %s"):
        bank.undo(match_id)
