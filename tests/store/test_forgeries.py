"""Forgeries that are brought in line to the last hash. `hpts verify` alone cannot tell them from a
true ledger, which is said here plainly; a checkpoint that an auditor kept tells, and so does the
file of an earlier verification. Leave out one table or column of it, and `hpts verify` tells, too.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hpts.http.checkpoint_key import CheckpointKey
from hpts.proofs import NotProven, verify_consistency
from hpts.store.verify import verify_tenant
from hpts.store.verify_progress import VerifiedTenant

from .forger import TOTALS, Forger
from .ledger_fixture import (
    Books,
    disbursement,
    open_ledger,
    payment,
    reversal,
)
from .test_tampering import KEYS, Tampering, lent_books
from .verify_story import ONE, TWO

KEY = CheckpointKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
PAYMENTS = 256
"""So that a tile of the tree is full."""
Checkpoint = dict[str, Any]


class World(NamedTuple):
    """Books, who forges them, and what was kept outside of them before."""

    tampering: Tampering
    forger: Forger
    checkpoints: list[Checkpoint]
    verified: VerifiedTenant

    @property
    def last(self) -> int:
        """The number of the last true block."""
        return int(self.checkpoints[-1]["block_number"])


@pytest.fixture(scope="module")
def world(own_database_url: str) -> Iterator[World]:
    books = lent_books(own_database_url, 5_000)
    books.post(reversal(books.post(payment(TWO, 430), payment(ONE, 70))[0]))
    books.post_each(*(payment(ONE, 1) for _ in range(PAYMENTS)), disbursement(TWO, 9))
    tampering = Tampering(books)
    ((last,),) = books.fetch("SELECT block_number FROM ledger_heads WHERE tenant_id = %s")
    verified = verify_tenant(own_database_url, books.tenant_id)
    assert verified.findings == []
    kept = [checkpoint(books, number) for number in (4, PAYMENTS, last - 1, last)]
    yield World(tampering, Forger(tampering), kept, verified.kept)
    tampering.connection.close()


@pytest.fixture
def forged(world: World) -> Iterator[World]:
    yield world
    world.tampering.put_all_back()


def checkpoint(books: Books, size: int) -> Checkpoint:
    """What the server signs over the first blocks as they are now, in good faith."""
    tenant = str(books.tenant_id)

    async def read() -> bytes:
        async with open_ledger(books.database_url) as ledger:
            return (await ledger.proofs.tree(books.tenant_id.bytes, size)).root

    root = asyncio.run(read())
    return {
        "tenant_id": tenant,
        "block_number": size,
        "root_hash": root.hex(),
        "note": KEY.sign(tenant, size, root),
    }


def consistency(books: Books, old: int, new: int) -> dict[str, Any]:
    async def read() -> list[str]:
        async with open_ledger(books.database_url) as ledger:
            tree = await ledger.proofs.tree(books.tenant_id.bytes, new, old)
            return [one.hex() for one in tree.consistency_path(old)]

    return {
        "tenant_id": str(books.tenant_id),
        "old_block_number": old,
        "block_number": new,
        "path": asyncio.run(read()),
    }


def is_consistent(books: Books, kept: Checkpoint) -> bool:
    """Whether the ledger as it is now grew out of a checkpoint: what an auditor asks the server."""
    ((last,),) = books.fetch("SELECT block_number FROM ledger_heads WHERE tenant_id = %s")
    if last < kept["block_number"]:
        return False  # 404: blocks that were there are not
    proof = consistency(books, kept["block_number"], last)
    try:
        verify_consistency(kept, checkpoint(books, last), json.loads(json.dumps(proof)), public())
    except NotProven:
        return False
    return True


def public() -> Ed25519PublicKey:
    key = serialization.load_pem_public_key(KEY.public_pem.encode())
    assert isinstance(key, Ed25519PublicKey)
    return key


def change_an_amount(world: World) -> int:
    """Of the first disbursement of TWO, in block 1, with the reply of its request."""
    world.forger.execute(
        "UPDATE journal_lines SET amount_minor = amount_minor + 1 WHERE tenant_id = %(tenant)s"
        " AND journal_entry_id = (SELECT journal_entry_id FROM journal_entries WHERE tenant_id ="
        " %(tenant)s AND loan_id = %(loan)s AND event_type = 'disbursement'"
        " ORDER BY journal_entry_id LIMIT 1)",
        loan=TWO,
    )
    return 1


def change_who_posted(world: World) -> int:
    """No amount: the actor of a payment in the middle."""
    block = PAYMENTS // 2
    world.forger.execute(
        "UPDATE journal_entries SET actor = 'somebody else' WHERE tenant_id = %(tenant)s AND"
        " journal_entry_id = (SELECT first_entry_id FROM ledger_blocks WHERE tenant_id = %(tenant)s"
        " AND block_number = %(block)s)",
        block=block,
    )
    return block


def delete_the_last_block(world: World) -> int:
    """Its entry, its lines and the block; the head goes back to the one before."""
    _delete_block(world, world.last)
    return world.last


def delete_a_block_within(world: World) -> int:
    """A payment in the middle; later blocks move up."""
    block = PAYMENTS // 2
    _delete_block(world, block)
    _move_blocks(world, block + 1, -1)
    return block


def insert_a_block(world: World) -> int:
    """A copy of the last disbursement right behind it in the order of identifiers, as a new block
    in the middle of the chain; later blocks move down."""
    block = PAYMENTS // 2
    _move_blocks(world, block, 1)
    _copy_last_block(world, block)
    return block


def append_a_block(world: World) -> int:
    """A payout that nobody asked for, at the end: what a checkpoint of before does not cover."""
    _copy_last_block(world, world.last + 1)
    return world.last + 1


def reorder_blocks(world: World) -> int:
    """Two blocks change places in the chain; entries stay as they are."""
    one, other = PAYMENTS // 2, PAYMENTS // 2 + 1
    for number, to in ((one, -one), (other, one), (-one, other)):
        world.forger.execute(
            "UPDATE ledger_blocks SET block_number = %(to)s WHERE tenant_id = %(tenant)s"
            " AND block_number = %(number)s",
            number=number,
            to=to,
        )
    return one


def _delete_block(world: World, block: int) -> None:
    for table in ("journal_lines", "entry_loans", "journal_entries"):
        world.forger.execute(
            f"DELETE FROM {table} WHERE tenant_id = %(tenant)s AND journal_entry_id = (SELECT"
            " first_entry_id FROM ledger_blocks WHERE tenant_id = %(tenant)s AND block_number ="
            " %(block)s)",
            block=block,
        )
    world.forger.execute(
        "DELETE FROM ledger_blocks WHERE tenant_id = %(tenant)s AND block_number = %(block)s",
        block=block,
    )


def _move_blocks(world: World, start: int, by: int) -> None:
    for change in ("-block_number", f"-block_number + {by}"):
        world.forger.execute(
            f"UPDATE ledger_blocks SET block_number = {change} WHERE tenant_id = %(tenant)s"
            " AND (block_number >= %(start)s OR block_number < 0)",
            start=start,
        )


def _copy_last_block(world: World, block: int) -> None:
    ((last,),) = world.forger.execute(
        "SELECT max(first_entry_id::text)::uuid FROM ledger_blocks WHERE tenant_id = %(tenant)s"
    )
    copied = {"last": last, "new": uuid.UUID(int=last.int + (1 << 16)), "block": block}
    changes = {
        "journal_entries": {"idempotency_key": "idempotency_key || ':forged'"},
        "journal_lines": {},
        "ledger_blocks": {"block_number": "%(block)s"},
    }
    for table, changed in changes.items():
        key = "first_entry_id" if table == "ledger_blocks" else "journal_entry_id"
        names = [
            name
            for (name,) in world.forger.execute(
                "SELECT attname::text FROM pg_attribute WHERE attrelid = %(table)s::regclass"
                " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                table=table,
            )
        ]
        values = ", ".join({key: "%(new)s", **changed}.get(name, name) for name in names)
        world.forger.execute(
            f"INSERT INTO {table} SELECT {values} FROM {table} WHERE tenant_id = %(tenant)s"
            f" AND {key} = %(last)s",
            **copied,
        )


FORGERIES = (
    change_an_amount,
    change_who_posted,
    delete_the_last_block,
    delete_a_block_within,
    insert_a_block,
    reorder_blocks,
)
"""Each changes history and tells the first block that is not as it was."""
TOTALS_AND_LOANS = {*TOTALS, "loans"}
MENDED: dict[Callable[[World], int], set[str]] = {
    change_an_amount: set(),
    delete_a_block_within: {"entry hashes"},
    insert_a_block: {"entry hashes"},
    reorder_blocks: {"entry hashes", *TOTALS_AND_LOANS},
}
"""Forgeries, and what of LEFT_OUT each of them does not touch."""
LEFT_OUT = {
    "entry hashes": ("journal_entries", "entry_hash"),
    "roots": ("ledger_blocks", "entries_root"),
    "block hashes": ("ledger_blocks", "block_hash"),
    "chain": ("ledger_blocks", "previous_hash"),
    "head": ("ledger_heads", "block_number", "previous_hash", "block_hash"),
    "tiles": ("block_tiles", "root"),
    **{table: (table,) for table in TOTALS},
    "loans": ("loans", "principal_minor", "interest_minor", "fees_minor"),
}
"""What a forger may forget: columns that then say what they said before, or whole tables."""


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_perfect_forgery_is_found_by_whoever_kept_something(
    forged: World, forge: Callable[[World], int]
) -> None:
    block = forge(forged)
    forged.forger.bring_in_line()
    books = forged.tampering.books
    assert forged.tampering.findings() == [], "or it is not perfect, and this test shows nothing"
    for kept in forged.checkpoints:
        assert is_consistent(books, kept) == (kept["block_number"] < block), kept["block_number"]
    since = verify_tenant(books.database_url, books.tenant_id, since=forged.verified)
    assert since.findings, "the file of an earlier verification knows the hash of the last block"


def test_an_appended_forgery_is_covered_by_no_checkpoint_of_before(forged: World) -> None:
    """It grows out of every one of them: only an authorisation can tell that it was not asked for.
    From the next checkpoint on it cannot be taken back."""
    append_a_block(forged)
    forged.forger.bring_in_line()
    books = forged.tampering.books
    assert forged.tampering.findings() == []
    assert all(is_consistent(books, kept) for kept in forged.checkpoints)
    later = checkpoint(books, forged.last + 1)
    forged.tampering.put_all_back()
    assert not is_consistent(books, later)


@pytest.mark.parametrize("forge", MENDED, ids=lambda forge: forge.__name__)
def test_a_forgery_that_leaves_one_thing_as_it_was_is_found_without_help(
    forged: World, forge: Callable[[World], int]
) -> None:
    forge(forged)
    forged.forger.bring_in_line()
    connection = forged.tampering.connection
    for table in KEYS:
        connection.execute(f"CREATE TEMPORARY TABLE forged_{table} AS TABLE {table}".encode())
    missed, untouched = [], set()
    for left_out, (table, *columns) in LEFT_OUT.items():
        if not forget(forged, table, columns):
            untouched.add(left_out)
        elif not forged.tampering.findings():
            missed.append(left_out)
        connection.execute(f"DELETE FROM {table}".encode())
        connection.execute(f"INSERT INTO {table} TABLE forged_{table}".encode())
    assert forged.tampering.findings() == [], "the forgery is as perfect as before"
    for table in KEYS:
        connection.execute(f"DROP TABLE forged_{table}".encode())
    assert missed == []
    assert untouched == MENDED[forge]


def forget(world: World, table: str, columns: list[str]) -> bool:
    """Put the columns back to what they were; whether that changed anything. Totals, whose rows are
    made anew, are put back whole."""
    if table in TOTALS:
        before = _sums(world, table)
        world.tampering.put_back(table)
        return before != _sums(world, table)
    key = {
        "journal_entries": "journal_entry_id",
        "ledger_blocks": "block_number",
        "ledger_heads": "tenant_id",
        "block_tiles": "tile_number",
        "loans": "loan_id",
    }[table]
    listed = ", ".join(columns)
    old = ", ".join(f"kept.{column}" for column in columns)
    changed = world.forger.execute(
        f"UPDATE {table} AS now SET ({listed}) = ROW ({old}) FROM kept_{table} AS kept"
        f" WHERE now.tenant_id = %(tenant)s AND kept.tenant_id = now.tenant_id"
        f" AND kept.{key} = now.{key} AND ({', '.join(f'now.{column}' for column in columns)})"
        f" IS DISTINCT FROM ({old}) RETURNING 1"
    )
    return bool(changed)


def _sums(world: World, table: str) -> list[Any]:
    return world.forger.execute(
        f"SELECT account_code, currency, sum(debit_minor), sum(credit_minor) FROM {table}"
        " WHERE tenant_id = %(tenant)s GROUP BY 1, 2 ORDER BY 1, 2"
    )
