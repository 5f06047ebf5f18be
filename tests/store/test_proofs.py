"""The tree over a tenant's blocks, read in tiles, is the tree over their hashes at any size."""

import asyncio
import hashlib
import random
from functools import cache

import psycopg
import pytest

from hpts import proofs
from hpts.domain.merkle import (
    consistency_path,
    inclusion_path,
    leaf_hash,
    merkle_root,
    node_hash,
    split,
)
from hpts.store.proofs import BlockTree
from hpts.store.verify import verify_tenant

from .ledger_fixture import Books, disbursement, open_ledger, payment
from .verify_story import ONE

LARGE = 2 * 65_536 + 3 * 256 + 17
PLANNED_FROM = 2_000


@pytest.fixture(scope="module")
def large(own_database_url: str) -> tuple[Books, list[bytes]]:
    """A chain long enough for tiles of both levels; its blocks have hashes and nothing else."""
    books = Books(own_database_url)
    with psycopg.connect(own_database_url) as connection:
        for first, last in ((1, PLANNED_FROM), (PLANNED_FROM + 1, LARGE)):
            connection.execute(
                "INSERT INTO ledger_blocks SELECT %s, n, '', '', gen_random_uuid(), 1,"
                " sha256(int8send(n)) FROM generate_series(%s::bigint, %s::bigint) AS n",
                (books.tenant_id, first, last),
            )
            # Whoever plans for a table that was empty reads all of it for every tile.
            connection.execute("ANALYZE ledger_blocks")
    return books, [hashlib.sha256(n.to_bytes(8, "big")).digest() for n in range(1, LARGE + 1)]


def read_tree(books: Books, size: int, *near: int) -> BlockTree:
    async def read() -> BlockTree:
        async with open_ledger(books.database_url) as ledger:
            return await ledger.proofs.tree(books.tenant_id.bytes, size, *near)

    return asyncio.run(read())


def sizes(seed: int) -> list[int]:
    drawn = random.Random(seed)
    edges = (1, 2, 255, 256, 257, 512, 65_535, 65_536, 65_537, 65_792, 131_072, LARGE)
    return [*edges, *(drawn.randint(1, LARGE) for _ in range(6))]


def test_roots_and_paths_are_those_of_all_the_leaves(
    large: tuple[Books, list[bytes]], seed: int
) -> None:
    books, hashes = large
    leaves = {(at, at + 1): leaf_hash(one) for at, one in enumerate(hashes)}
    drawn = random.Random(seed)

    @cache
    def root_of(start: int, end: int) -> bytes:
        """Each range is hashed once for all sizes."""
        if (start, end) in leaves:
            return leaves[start, end]
        middle = start + split(end - start)
        return node_hash(root_of(start, middle), root_of(middle, end))

    for size in sizes(seed):
        at = drawn.randrange(size)
        old_size = drawn.randint(1, size)
        tree = read_tree(books, size, at, old_size)
        assert tree.root == merkle_root(hashes[:size])
        assert tree.inclusion_path(at + 1) == inclusion_path(at, size, root_of)
        assert tree.consistency_path(old_size) == consistency_path(old_size, size, root_of)
        path = tree.inclusion_path(at + 1)
        assert proofs.root_of_inclusion(hashes[at], at, size, path) == tree.root


def test_every_tile_is_there_as_soon_as_its_blocks_are(large: tuple[Books, list[bytes]]) -> None:
    books, hashes = large
    tiles = books.fetch(
        "SELECT level, tile_number, root FROM block_tiles WHERE tenant_id = %s ORDER BY 1, 2"
    )
    wanted = [(1, at, merkle_root(hashes[at * 256 : (at + 1) * 256])) for at in range(LARGE // 256)]
    wanted += [(2, at, merkle_root(hashes[at * 65_536 : (at + 1) * 65_536])) for at in range(2)]
    assert tiles == wanted


def test_a_proof_reads_some_hundred_rows_of_a_long_chain(
    large: tuple[Books, list[bytes]],
) -> None:
    books, _ = large
    tree = read_tree(books, LARGE, 70_000)
    assert len(tree._root_of.__closure__[0].cell_contents) < 1_500  # type: ignore[index]


def test_a_ledger_with_tiles_is_sound(own_database_url: str) -> None:
    books = Books(own_database_url)
    books.post(disbursement(ONE, 100_000))
    books.post_each(*(payment(ONE, 1) for _ in range(260)))
    verified = verify_tenant(own_database_url, books.tenant_id)
    assert verified.findings == []
    assert verified.counts["blocks"] == 261
    books.tamper("UPDATE block_tiles SET root = sha256('x') WHERE tenant_id = %(tenant)s")
    found = {
        one.check: one.row for one in verify_tenant(own_database_url, books.tenant_id).findings
    }
    assert found == {"block_tiles": "block_tiles level 1 tile 0"}
    books.tamper("DELETE FROM block_tiles WHERE tenant_id = %(tenant)s")
    found = {
        one.check: one.row for one in verify_tenant(own_database_url, books.tenant_id).findings
    }
    assert found == {"block_tiles": "block_tiles level 1 tile 0"}
