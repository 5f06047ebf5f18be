"""Whatever is changed behind the ledger's back is found, and the finding names the row."""

import asyncio
import datetime
import io
import uuid
from hashlib import sha256
from typing import Any, NamedTuple

import psycopg
import pytest

from hpts.domain.blocks import block_hash, canonical_entry
from hpts.domain.entries import EPOCH, day_of
from hpts.domain.merkle import merkle_root
from hpts.store import verify_snapshot
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import set_tenant_status
from hpts.store.verify import CHECKS, Verified, verify, verify_tenant

from .ledger_fixture import Books, accrual, days_ago, disbursement, payment, reversal

ONE, TWO, THREE, STRANGER = (uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in range(4))
CONNECTIONS_MAX = 7
"""One that holds the snapshot, one that adds up the loans, and those walked beside each other."""
OF_ENTRY = "WHERE tenant_id = %(tenant)s AND journal_entry_id = %(entry)s"
OF_BLOCK = "WHERE tenant_id = %(tenant)s AND block_number = %(block)s"
OF_LOAN = "WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s"


class Story(NamedTuple):
    """Seven blocks: three disbursements, two payments, an accrual, two reversals, and more."""

    books: Books
    lent_on: datetime.date
    lent: list[uuid.UUID]
    paid: list[uuid.UUID]
    accrued: uuid.UUID
    unaccrued: uuid.UUID
    unpaid: uuid.UUID

    def verify(self) -> Verified:
        return verify_tenant(self.books.database_url, self.books.tenant_id)

    def found(self) -> dict[str, str]:
        """The row that each finding names, by check."""
        return {finding.check: finding.row for finding in self.verify().findings}

    def tamper(self, *statements: str, **parameters: Any) -> None:
        self.books.tamper(*statements, **parameters)

    def block(self, number: int) -> dict[str, Any]:
        names = "block_number, previous_hash, entries_root, first_entry_id, entry_count, block_hash"
        query = f"SELECT {names} FROM ledger_blocks WHERE tenant_id = %s AND block_number = %s"
        (row,) = self.books.fetch(query, number)
        return dict(zip(names.split(", "), row, strict=True))


@pytest.fixture
def story(own_database_url: str) -> Story:
    return asyncio.run(tell_story(Books(own_database_url)))


async def tell_story(books: Books) -> Story:
    lent_on = days_ago(40)
    async with books.open_for_posting() as post:
        lent = await post(
            disbursement(ONE, 1_000, on=lent_on),
            disbursement(TWO, 500, on=lent_on),
            disbursement(THREE, 70, currency="EUR"),
        )
        (accrued,) = await post(accrual({ONE: 30, TWO: 15}, on=days_ago(20)))
        paid = await post(payment(ONE, 430), payment(TWO, 700))
        await post(payment(THREE, 100, currency="EUR"))
        (unpaid,) = await post(reversal(paid[0]))
        (accrued_again,) = await post(accrual({ONE: 7, TWO: 8}))
        (unaccrued,) = await post(reversal(accrued_again))
    return Story(books, lent_on, lent, paid, accrued, unaccrued, unpaid)


def test_a_sound_ledger_has_no_findings_and_is_counted(story: Story) -> None:
    verified = story.verify()
    assert verified.findings == []
    totals = sum(
        story.books.fetch(f"SELECT count(*) FROM {table} WHERE tenant_id = %s")[0][0]
        for table in ("account_totals", "account_month_totals", "account_day_totals")
    )
    assert verified.counts == {
        "entries": 10,
        "lines": 3 * 2 + 3 + (3 + 4) + 3 + 3 + 3 + 3,
        "loans": 3,
        "totals": totals,
        "blocks": 7,
        "audit events": 3,
    }
    assert verified.head == f"7 {story.block(7)['block_hash'].hex()}"


def test_an_empty_ledger_is_sound(own_database_url: str) -> None:
    books = Books(own_database_url)
    verified = verify_tenant(own_database_url, books.tenant_id)
    assert verified.findings == []
    assert verified.head == f"0 {sha256(books.tenant_id.bytes).hexdigest()}"


def test_a_ledger_is_walked_in_bounded_portions(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_snapshot, "ROWS_PER_FETCH", 1)
    assert story.verify().findings == []


def test_statements_that_follow_each_other_share_a_connection(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def connect(*arguments: Any, **options: Any) -> Any:
        opened.append(real(*arguments, **options))
        return opened[-1]

    real = psycopg.connect
    monkeypatch.setattr(psycopg, "connect", connect)
    assert story.verify().findings == []
    assert len(opened) <= CONNECTIONS_MAX
    assert all(connection.closed for connection in opened)


def test_an_amount_changed_on_both_sides_is_found_by_the_entrys_hash(story: Story) -> None:
    story.tamper(f"UPDATE journal_lines SET amount_minor = 1001 {OF_ENTRY}", entry=story.lent[0])
    found = story.found()
    assert "entry_balance" not in found
    assert found["entry_hash"] == f"journal_entries {story.lent[0]}"
    assert found["account_totals"] == "account_totals 1100 USD S"
    month = story.lent_on.replace(day=1)
    assert found["account_month_totals"] == f"account_month_totals 1100 USD S {month}"
    assert found["account_day_totals"] == f"account_day_totals 1100 USD S {story.lent_on}"
    assert found["loans"] == f"loans {ONE}"


def test_an_amount_changed_on_one_side_leaves_the_entry_out_of_balance(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_lines SET amount_minor = 1001 {OF_ENTRY} AND sequence = 1",
        entry=story.lent[0],
    )
    (finding,) = (one for one in story.verify().findings if one.check == "entry_balance")
    assert finding.row == f"journal_entries {story.lent[0]}"
    assert "1 USD on layer S" in finding.message


def test_currencies_balance_each_by_itself(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_lines SET currency = 'EUR' {OF_ENTRY} AND direction = 'D'",
        entry=story.lent[0],
    )
    assert story.found()["entry_balance"] == f"journal_entries {story.lent[0]}"


def test_a_deleted_line_leaves_a_gap(story: Story) -> None:
    story.tamper(f"DELETE FROM journal_lines {OF_ENTRY} AND sequence = 1", entry=story.accrued)
    found = story.found()
    assert found["line_sequence"] == f"journal_lines {story.accrued} line 2"
    assert found["entry_hash"] == f"journal_entries {story.accrued}"
    assert found["entry_loans"] == f"entry_loans {story.accrued} line 1"


def test_a_deleted_last_line_is_found(story: Story) -> None:
    story.tamper(f"DELETE FROM journal_lines {OF_ENTRY} AND sequence = 3", entry=story.accrued)
    found = story.found()
    assert "line_sequence" not in found
    assert found["entry_hash"] == found["entry_balance"] == f"journal_entries {story.accrued}"


def test_an_entry_has_at_least_two_lines(story: Story) -> None:
    story.tamper(f"DELETE FROM journal_lines {OF_ENTRY}", entry=story.lent[1])
    assert story.found()["line_sequence"] == f"journal_entries {story.lent[1]}"


@pytest.mark.parametrize(
    "change",
    [
        "event_type = 'payment_received'",
        "effective_at = effective_at + 1",
        "posted_at = posted_at + interval '1 microsecond'",
        "correlation_id = gen_random_uuid()",
        "loan_id = NULL",
        "actor = 'somebody else'",
        "idempotency_key = 'another:' || gen_random_uuid()::text",
        "request_digest = sha256('another')",
        "details = '{}'",
        "reply = 'another'",
        "entry_hash = sha256('another')",
    ],
)
def test_a_changed_field_of_an_entry_is_found_by_its_hash(story: Story, change: str) -> None:
    story.tamper(f"UPDATE journal_entries SET {change} {OF_ENTRY}", entry=story.lent[1])
    assert story.found()["entry_hash"] == f"journal_entries {story.lent[1]}"


def test_a_changed_original_of_a_reversal_is_found_by_its_hash(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_entries SET reverses_entry_id = %(other)s {OF_ENTRY}",
        entry=story.unpaid,
        other=story.lent[0],
    )
    assert story.found() == {
        "entry_hash": f"journal_entries {story.unpaid}",
        "audit_reversals": f"journal_entries {story.unpaid}",
    }


@pytest.mark.parametrize(
    "change",
    [
        "account_code = 1010",
        "direction = 'C'",
        "layer = 'P'",
        "currency = 'CHF'",
        "amount_minor = amount_minor + 1",
        "sequence = 9",
        "loan_id = NULL",
        "loan_id = '00000000-0000-0000-0000-000000000000'",
    ],
)
def test_a_changed_field_of_a_line_is_found_by_its_entrys_hash(story: Story, change: str) -> None:
    story.tamper(
        f"UPDATE journal_lines SET {change} {OF_ENTRY} AND sequence = 1", entry=story.paid[1]
    )
    assert story.found()["entry_hash"] == f"journal_entries {story.paid[1]}"


def test_an_entrys_hash_rewritten_with_it_is_found_by_the_blocks_root(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_entries SET reply = 'another', entry_hash = sha256('another') {OF_ENTRY}",
        entry=story.paid[1],
    )
    assert story.found()["block_root"] == "ledger_blocks 3"


def test_a_block_rewritten_with_its_entries_is_found_by_the_chain(story: Story) -> None:
    hashes = [sha256(b"one").digest(), sha256(b"two").digest()]
    block = story.block(3)
    forged = block_hash(
        block["previous_hash"],
        3,
        first_entry_id=block["first_entry_id"].bytes,
        entry_count=2,
        entries_root=merkle_root(hashes),
    )
    for entry, entry_hash in zip(story.paid, hashes, strict=True):
        story.tamper(
            f"UPDATE journal_entries SET entry_hash = %(hash)s {OF_ENTRY}",
            entry=entry,
            hash=entry_hash,
        )
    story.tamper(
        f"UPDATE ledger_blocks SET entries_root = %(root)s, block_hash = %(hash)s {OF_BLOCK}",
        block=3,
        root=merkle_root(hashes),
        hash=forged,
    )
    found = story.found()
    assert {"block_root", "block_hash"}.isdisjoint(found)
    assert found["block_chain"] == "ledger_blocks 4"


@pytest.mark.parametrize("side", ["debit_minor", "credit_minor"])
@pytest.mark.parametrize("table", ["account_totals", "account_month_totals", "account_day_totals"])
def test_a_changed_total_is_found(story: Story, table: str, side: str) -> None:
    day = story.lent_on
    which, row = {
        "account_totals": ("", ""),
        "account_month_totals": ("AND month <= %(day)s", f" {day.replace(day=1)}"),
        "account_day_totals": ("AND effective_at = %(day)s", f" {day}"),
    }[table]
    story.tamper(
        f"UPDATE {table} SET {side} = {side} + 1 WHERE tenant_id = %(tenant)s"
        f" AND account_code = 2000 AND currency = 'USD' {which}",
        day=day,
    )
    assert story.found() == {table: f"{table} 2000 USD S{row}"}


def test_a_deleted_total_is_found(story: Story) -> None:
    story.tamper(
        "DELETE FROM account_totals WHERE tenant_id = %(tenant)s AND account_code = 1000"
        " AND currency = 'EUR'"
    )
    assert story.found() == {"account_totals": "account_totals 1000 EUR S"}


def test_a_total_without_lines_is_found(story: Story) -> None:
    story.tamper(
        "INSERT INTO account_day_totals VALUES"
        " (%(tenant)s, 9000, 'JPY', 'E', '2026-01-31', 7, 5, 5)"
    )
    assert story.found() == {"account_day_totals": "account_day_totals 9000 JPY E 2026-01-31"}


@pytest.mark.parametrize(
    "change",
    [
        "principal_minor = principal_minor + 1",
        "interest_minor = interest_minor + 1",
        "fees_minor = fees_minor + 1",
        "currency = 'CHF'",
        "accrued_through = accrued_through + 1",
        "accrued_through = NULL",
        "last_activity_at = last_activity_at + interval '1 microsecond'",
    ],
)
def test_a_changed_loan_is_found(story: Story, change: str) -> None:
    story.tamper(f"UPDATE loans SET {change} {OF_LOAN}", loan=TWO)
    assert story.found() == {"loans": f"loans {TWO}"}


def test_a_deleted_loan_is_found(story: Story) -> None:
    story.tamper(f"DELETE FROM loans {OF_LOAN}", loan=TWO)
    assert story.found() == {"loans": f"loans {TWO}"}


def test_a_loan_without_lines_is_found(story: Story) -> None:
    story.tamper(
        "INSERT INTO loans VALUES (%(tenant)s, %(loan)s, %(loan)s, 'USD', 0, 0, 0, NULL, now())",
        loan=STRANGER,
    )
    assert story.found() == {"loans": f"loans {STRANGER}"}


def test_a_removed_block_is_found(story: Story) -> None:
    story.tamper(f"DELETE FROM ledger_blocks {OF_BLOCK}", block=3)
    assert story.found() == {
        "block_number": "ledger_blocks 4",
        "block_chain": "ledger_blocks 4",
        "entry_block": f"journal_entries {story.paid[0]}",
    }


def test_a_removed_first_block_is_found(story: Story) -> None:
    story.tamper(f"DELETE FROM ledger_blocks {OF_BLOCK}", block=1)
    found = story.found()
    assert found["block_number"] == found["block_chain"] == "ledger_blocks 2"


def test_a_removed_last_block_is_found(story: Story) -> None:
    story.tamper(f"DELETE FROM ledger_blocks {OF_BLOCK}", block=7)
    assert story.found() == {
        "ledger_head": f"ledger_heads {story.books.tenant_id}",
        "entry_block": f"journal_entries {story.unaccrued}",
    }


def test_swapped_block_hashes_are_found(story: Story) -> None:
    story.tamper(
        "UPDATE ledger_blocks SET block_hash = other.block_hash FROM ledger_blocks AS other"
        " WHERE ledger_blocks.tenant_id = %(tenant)s AND other.tenant_id = %(tenant)s"
        " AND ledger_blocks.block_number IN (2, 3)"
        " AND other.block_number = 5 - ledger_blocks.block_number"
    )
    assert story.found() == {"block_hash": "ledger_blocks 2", "block_chain": "ledger_blocks 3"}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("previous_hash = sha256('another')", "block_chain"),
        ("previous_hash = sha256('another')", "block_hash"),
        ("entries_root = sha256('another')", "block_root"),
        ("entries_root = sha256('another')", "block_hash"),
        ("entry_count = 3", "block_entries"),
        ("entry_count = 100000", "block_entries"),
        ("block_hash = sha256('another')", "block_hash"),
    ],
)
def test_a_changed_block_is_found(story: Story, change: str, check: str) -> None:
    story.tamper(f"UPDATE ledger_blocks SET {change} {OF_BLOCK}", block=3)
    assert story.found()[check] == "ledger_blocks 3"


def test_a_block_that_drops_its_last_entry_is_found(story: Story) -> None:
    story.tamper(f"UPDATE ledger_blocks SET entry_count = 1 {OF_BLOCK}", block=3)
    found = story.found()
    assert found["entry_block"] == f"journal_entries {story.paid[1]}"
    assert found["block_root"] == "ledger_blocks 3"


def test_an_entry_of_two_blocks_is_found(story: Story) -> None:
    story.tamper(
        f"UPDATE ledger_blocks SET first_entry_id = %(first)s {OF_BLOCK}",
        block=3,
        first=story.block(1)["first_entry_id"],
    )
    found = story.found()
    assert found["block_entries"] == found["block_hash"] == "ledger_blocks 3"
    found_blocks = {one.row for one in story.verify().findings if one.check == "entry_block"}
    assert found_blocks == {"ledger_blocks 3"}


def test_entries_swapped_within_a_block_are_found(story: Story) -> None:
    story.tamper(
        "UPDATE journal_entries SET entry_hash = other.entry_hash FROM journal_entries AS other"
        " WHERE journal_entries.tenant_id = %(tenant)s AND other.tenant_id = %(tenant)s"
        " AND journal_entries.journal_entry_id = ANY (%(entries)s)"
        " AND other.journal_entry_id = ANY (%(entries)s)"
        " AND other.journal_entry_id <> journal_entries.journal_entry_id",
        entries=story.paid,
    )
    assert story.found() == {
        "entry_hash": f"journal_entries {story.paid[0]}",
        "block_root": "ledger_blocks 3",
    }


@pytest.mark.parametrize(("at", "missing"), [(0, 0), (1, 1), (2, 2)])
def test_a_removed_entry_is_missing_from_its_block(story: Story, at: int, missing: int) -> None:
    story.tamper(
        f"DELETE FROM journal_lines {OF_ENTRY}",
        f"DELETE FROM journal_entries {OF_ENTRY}",
        entry=story.lent[at],
    )
    (finding,) = (one for one in story.verify().findings if one.check == "block_entries")
    assert finding.row == "ledger_blocks 1"
    assert str(story.lent[missing]) in finding.message


@pytest.mark.parametrize("which", ["first", "last"])
def test_lines_without_their_entry_are_found(story: Story, which: str) -> None:
    entry = story.lent[0] if which == "first" else story.unaccrued
    story.tamper(f"DELETE FROM journal_entries {OF_ENTRY}", entry=entry)
    verified = story.verify()
    found = {finding.check: finding.row for finding in verified.findings}
    assert found["line_entry"] == f"journal_lines {entry} line 1"
    assert verified.counts["lines"] == 28, "stray lines are counted"


@pytest.mark.parametrize("where", ["before", "between", "after"])
def test_a_balanced_entry_outside_any_block_is_found(story: Story, where: str) -> None:
    """Its hash is right, its lines balance, and totals and loan were brought in line with it."""
    near = {"before": story.lent[0], "between": story.paid[0], "after": story.unaccrued}[where]
    entry = uuid.UUID(int=near.int + (-5 if where == "before" else 500))
    post_behind_the_ledgers_back(story, entry)
    assert story.found() == {"entry_block": f"journal_entries {entry}"}


def post_behind_the_ledgers_back(story: Story, entry: uuid.UUID) -> None:
    day = story.lent_on
    ((posted_at,),) = story.books.fetch(
        "SELECT last_activity_at FROM loans WHERE tenant_id = %s AND loan_id = %s", ONE
    )
    form = canonical_entry(
        tenant_id=story.books.tenant_id.bytes,
        effective_day=day_of(day),
        posted_at=int((posted_at - EPOCH).total_seconds() * 1_000_000 + 0.5),
        journal_entry_id=entry.bytes,
        event_type=b"disbursement",
        correlation_id=entry.bytes,
        reverses_entry_id=None,
        loan_id=ONE.bytes,
        actor=b"thief",
        idempotency_key=str(entry).encode(),
        request_digest=bytes(32),
        details=b"{}",
        reply=b"",
        lines=[
            (1, 1100, b"D", b"S", b"USD", 5, ONE.bytes),
            (2, 2000, b"C", b"S", b"USD", 5, ONE.bytes),
        ],
    )
    story.tamper(
        "INSERT INTO journal_entries (tenant_id, journal_entry_id, event_type, effective_at,"
        " posted_at, correlation_id, loan_id, actor, idempotency_key, request_digest, details,"
        " reply, entry_hash) VALUES (%(tenant)s, %(entry)s, 'disbursement', %(day)s,"
        " %(posted_at)s, %(entry)s, %(loan)s, 'thief', %(entry)s::uuid::text, %(digest)s, '{}',"
        " '', %(hash)s)",
        "INSERT INTO journal_lines VALUES"
        " (%(tenant)s, %(entry)s, 5, %(loan)s, 1, 1100, 'D', 'S', 'USD'),"
        " (%(tenant)s, %(entry)s, 5, %(loan)s, 2, 2000, 'C', 'S', 'USD')",
        f"UPDATE loans SET principal_minor = principal_minor + 5 {OF_LOAN}",
        "INSERT INTO account_totals VALUES"
        " (%(tenant)s, 1100, 'USD', 'S', 999, 5, 0), (%(tenant)s, 2000, 'USD', 'S', 999, 0, 5)",
        "INSERT INTO account_month_totals VALUES"
        " (%(tenant)s, 1100, 'USD', 'S', date_trunc('month', %(day)s::timestamp), 999, 5, 0),"
        " (%(tenant)s, 2000, 'USD', 'S', date_trunc('month', %(day)s::timestamp), 999, 0, 5)",
        "INSERT INTO account_day_totals VALUES"
        " (%(tenant)s, 1100, 'USD', 'S', %(day)s, 999, 5, 0),"
        " (%(tenant)s, 2000, 'USD', 'S', %(day)s, 999, 0, 5)",
        entry=entry,
        loan=ONE,
        day=day,
        posted_at=posted_at,
        digest=bytes(32),
        hash=sha256(form).digest(),
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (f"DELETE FROM entry_loans {OF_ENTRY} AND sequence = 2", 2),
        (f"UPDATE entry_loans SET loan_id = %(loan)s {OF_ENTRY} AND sequence = 1", 1),
        ("INSERT INTO entry_loans VALUES (%(tenant)s, %(loan)s, %(entry)s, 3, NULL)", 3),
    ],
)
@pytest.mark.parametrize("of", ["accrual", "reversal"])
def test_a_changed_map_of_loans_is_found(story: Story, change: str, line: int, of: str) -> None:
    entry = story.accrued if of == "accrual" else story.unaccrued
    story.tamper(change, entry=entry, loan=THREE)
    assert story.found() == {"entry_loans": f"entry_loans {entry} line {line}"}


def test_a_map_of_loans_of_an_entry_of_one_loan_is_found(story: Story) -> None:
    story.tamper(
        "INSERT INTO entry_loans VALUES (%(tenant)s, %(loan)s, %(entry)s, 1, NULL)",
        entry=story.lent[0],
        loan=ONE,
    )
    assert story.found() == {"entry_loans": f"entry_loans {story.lent[0]} line 1"}


def test_a_map_of_loans_of_no_entry_is_found(story: Story) -> None:
    stray = uuid.UUID(int=2**128 - 1)
    story.tamper(
        "INSERT INTO entry_loans VALUES (%(tenant)s, %(loan)s, %(entry)s, 1, NULL)",
        entry=stray,
        loan=ONE,
    )
    assert story.found() == {"entry_loans": f"entry_loans {stray} line 1"}


def test_a_line_that_names_another_loan_than_its_entry_is_found(story: Story) -> None:
    story.tamper(
        f"UPDATE journal_lines SET loan_id = %(loan)s {OF_ENTRY} AND sequence = 2",
        entry=story.lent[0],
        loan=TWO,
    )
    assert story.found()["entry_loans"] == f"journal_lines {story.lent[0]} line 2"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_heads SET block_number = 8 WHERE tenant_id = %(tenant)s",
        "UPDATE ledger_heads SET block_hash = sha256('another') WHERE tenant_id = %(tenant)s",
        "UPDATE ledger_heads SET previous_hash = sha256('x') WHERE tenant_id = %(tenant)s",
        "DELETE FROM ledger_heads WHERE tenant_id = %(tenant)s",
    ],
)
def test_a_head_that_is_not_the_last_block_is_found(story: Story, change: str) -> None:
    story.tamper(change)
    assert story.found() == {"ledger_head": f"ledger_heads {story.books.tenant_id}"}


def test_a_suspended_tenant_is_verified_and_a_missing_one_is_unknown(story: Story) -> None:
    set_tenant_status(story.books.database_url, story.books.tenant_id, "suspended")
    assert story.verify().counts["entries"] == 10
    with pytest.raises(TenantUnknown):
        verify_tenant(story.books.database_url, uuid.uuid4())


def test_the_command_prints_what_it_checked_and_how_fast(story: Story) -> None:
    out = io.StringIO()
    assert verify(story.books.database_url, story.books.tenant_id, out) == 0
    printed = out.getvalue()
    assert f"tenant {story.books.tenant_id}\n" in printed
    assert "10 entries, 28 lines, 3 loans, " in printed
    assert "7 blocks, 3 audit events in " in printed
    assert " lines/s)" in printed
    assert f"head: block 7 {story.block(7)['block_hash'].hex()}\n" in printed
    assert f"sound: all {len(CHECKS)} checks passed" in printed


def test_the_command_prints_findings_and_fails(story: Story) -> None:
    story.tamper(f"UPDATE loans SET principal_minor = 1 {OF_LOAN}", loan=ONE)
    out = io.StringIO()
    assert verify(story.books.database_url, story.books.tenant_id, out) == 1
    assert f"FAILED loans ({CHECKS['loans']})\n    loans {ONE}: principal_minor is 1" in (
        out.getvalue()
    )
    assert "sound" not in out.getvalue()


def test_the_command_verifies_all_tenants_and_fails_if_one_does(story: Story) -> None:
    other = Books(story.books.database_url)
    story.tamper(f"UPDATE loans SET principal_minor = 1 {OF_LOAN}", loan=ONE)
    out = io.StringIO()
    assert verify(other.database_url, None, out) == 1
    assert str(other.tenant_id) in out.getvalue()
    assert str(story.books.tenant_id) in out.getvalue()
    assert verify(other.database_url, other.tenant_id, io.StringIO()) == 0


def test_the_command_says_that_there_is_no_such_tenant(own_database_url: str) -> None:
    out = io.StringIO()
    stranger = uuid.uuid4()
    assert verify(own_database_url, stranger, out) == 2
    assert out.getvalue().startswith(f"no such tenant: {stranger}")


def test_a_currency_that_is_not_three_bytes_has_no_canonical_form() -> None:
    """Cut to three bytes, two different lines would share a hash."""
    with pytest.raises(ValueError, match="line 1 has a currency of 4 bytes"):
        canonical_entry(
            tenant_id=bytes(16),
            effective_day=0,
            posted_at=0,
            journal_entry_id=bytes(16),
            event_type=b"disbursement",
            correlation_id=None,
            reverses_entry_id=None,
            loan_id=None,
            actor=b"",
            idempotency_key=b"",
            request_digest=b"",
            details=b"{}",
            reply=b"",
            lines=[(1, 1100, b"D", b"S", b"USDX", 1, None)],
        )
