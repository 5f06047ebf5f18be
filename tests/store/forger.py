"""A superuser who changes the books and then brings everything in line with it: hashes, roots,
chain, tiles, head, totals and loans.
"""

import uuid
from hashlib import sha256
from itertools import groupby
from typing import Any

from hpts.domain.blocks import TILE, block_hash, canonical_entry, genesis_hash
from hpts.domain.merkle import merkle_root
from hpts.store.statements import sql
from hpts.store.verify_snapshot import Row, open_snapshot

from .test_tampering import Tampering

TOTALS = {
    "account_totals": "",
    "account_month_totals": "date_trunc('month', effective_at)::date",
    "account_day_totals": "effective_at",
}
"""The tables, and the period that each is kept by."""


class Forger:
    """Works on books whose triggers and checks are off. Every method commits."""

    def __init__(self, tampering: Tampering) -> None:
        self._tampering = tampering
        self.tenant_id: uuid.UUID = tampering.books.tenant_id

    def execute(self, statement: str, **parameters: Any) -> list[Any]:
        """Run a statement with %(tenant)s as the tenant; its rows, if it has any."""
        cursor = self._tampering.connection.execute(
            statement.encode(), {"tenant": self.tenant_id, **parameters}
        )
        return cursor.fetchall() if cursor.description else []

    def bring_in_line(self) -> None:
        """Compute everything anew that follows from entries, lines and the order of blocks."""
        self._hash_entries()
        with self._tampering.connection.transaction():
            self._chain_blocks()
            self._add_up_totals()
            self._add_up_loans()

    def _hash_entries(self) -> None:
        with open_snapshot(self._tampering.books.database_url, self.tenant_id) as snapshot:
            lines = {
                entry_id: list(rows)
                for entry_id, rows in groupby(snapshot.stream("walk_lines"), lambda row: row[0])
            }
            hashed = [
                (entry[0], self._entry_hash(entry, lines[entry[0]]))
                for entry in snapshot.stream("walk_entries")
            ]
        for entry_id, entry_hash in hashed:
            self.execute(
                "UPDATE journal_entries SET entry_hash = %(hash)s WHERE tenant_id = %(tenant)s"
                " AND journal_entry_id = %(entry)s AND entry_hash <> %(hash)s",
                entry=uuid.UUID(bytes=entry_id),
                hash=entry_hash,
            )

    def _entry_hash(self, entry: Row, lines: list[Row]) -> bytes:
        names = (
            "journal_entry_id", "effective_day", "posted_at", "event_type", "correlation_id",
            "reverses_entry_id", "loan_id", "actor", "idempotency_key", "request_digest",
            "details", "reply",
        )  # fmt: skip
        said = dict(zip(names, entry[:12], strict=True))
        form = canonical_entry(
            tenant_id=self.tenant_id.bytes, **said, lines=[line[1:] for line in lines]
        )
        return sha256(form).digest()

    def _chain_blocks(self) -> None:
        previous, hashes = genesis_hash(self.tenant_id.bytes), []
        blocks = self.execute(
            "SELECT block_number, first_entry_id, entry_count FROM ledger_blocks"
            " WHERE tenant_id = %(tenant)s ORDER BY block_number"
        )
        self.execute("DELETE FROM block_tiles WHERE tenant_id = %(tenant)s")
        number, before = 0, previous
        for number, first, count in blocks:
            last = uuid.UUID(int=first.int + count - 1)
            root = merkle_root(
                [
                    entry_hash
                    for _, entry_hash in self.execute(
                        "SELECT journal_entry_id, entry_hash FROM journal_entries"
                        " WHERE tenant_id = %(tenant)s AND"
                        " journal_entry_id BETWEEN %(first)s AND %(last)s ORDER BY 1",
                        first=first,
                        last=last,
                    )
                ]
            )
            before = previous
            previous = block_hash(
                before, number, first_entry_id=first.bytes, entry_count=count, entries_root=root
            )
            hashes.append(previous)
            self.execute(
                "UPDATE ledger_blocks SET previous_hash = %(previous)s, entries_root = %(root)s,"
                " block_hash = %(hash)s WHERE tenant_id = %(tenant)s AND block_number = %(number)s",
                previous=before,
                root=root,
                hash=previous,
                number=number,
            )
            if number % TILE == 0:
                self.execute(
                    "INSERT INTO block_tiles (tenant_id, level, tile_number, root)"
                    " VALUES (%(tenant)s, 1, %(tile)s, %(root)s)",
                    tile=number // TILE - 1,
                    root=merkle_root(hashes[-TILE:]),
                )
        self.execute(
            "UPDATE ledger_heads SET block_number = %(number)s, previous_hash = %(previous)s,"
            " block_hash = %(hash)s WHERE tenant_id = %(tenant)s",
            number=number,
            previous=before,
            hash=previous,
        )

    def _add_up_totals(self) -> None:
        for table, period in TOTALS.items():
            column = {"account_month_totals": "month, ", "account_day_totals": "effective_at, "}
            columns = f"account_code, currency, layer, {column.get(table, '')}"
            chosen = f"account_code, currency, layer, {period + ', ' if period else ''}"
            self.execute(f"DELETE FROM {table} WHERE tenant_id = %(tenant)s")
            self.execute(
                f"INSERT INTO {table} (tenant_id, {columns} stripe, debit_minor, credit_minor)"
                f" SELECT %(tenant)s, {chosen} 0,"
                " coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0),"
                " coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0)"
                " FROM journal_lines JOIN journal_entries USING (tenant_id, journal_entry_id)"
                f" WHERE tenant_id = %(tenant)s GROUP BY {chosen.rstrip(', ')}"
            )

    def _add_up_loans(self) -> None:
        rows = self._tampering.connection.execute(
            sql("compare_loans").encode(), {"tenant_id": self.tenant_id}
        ).fetchall()
        for loan_id, _, _, _, _, principal, _, interest, _, fees, _, accrued, _, active in rows:
            self.execute(
                "UPDATE loans SET principal_minor = %(principal)s, interest_minor = %(interest)s,"
                " fees_minor = %(fees)s, accrued_through = %(accrued)s, last_activity_at ="
                " %(active)s WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s",
                loan=loan_id,
                principal=principal,
                interest=interest,
                fees=fees,
                accrued=accrued,
                active=active,
            )
