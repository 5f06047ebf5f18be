"""A changed block or head is found, and so is an entry that stands in no block or in two."""

import uuid
from hashlib import sha256

import pytest

from hpts.domain.blocks import block_hash, canonical_entry
from hpts.domain.entries import EPOCH, day_of
from hpts.domain.merkle import merkle_root

from .verify_story import OF_BLOCK, OF_ENTRY, OF_LOAN, ONE, Story


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
