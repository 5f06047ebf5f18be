"""The chain's hashes, against RFC 6962 written otherwise and against PostgreSQL."""

import hashlib
import re
from importlib.resources import files

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.domain.blocks import block_hash, canonical_entry, genesis_hash, merkle_root
from tests.kernel.entries import FACTS, FIRST_ENTRY_ID, POSTED_AT, TENANT_ID, new_batch, pair, post

hashes = st.binary(min_size=32, max_size=32)


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it is written there: split at the largest power of two."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


@given(st.lists(hashes, min_size=1, max_size=70))
def test_the_root_is_that_of_rfc_6962(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == tree_hash(leaves)


@pytest.mark.parametrize("count", [*range(1, 34), 127, 128, 129, 512, 513])
def test_the_root_is_that_of_rfc_6962_at_every_shape_of_tree(count: int) -> None:
    leaves = [hashlib.sha256(bytes([at % 256, at // 256])).digest() for at in range(count)]
    assert merkle_root(leaves) == tree_hash(leaves)


def test_the_root_is_that_of_certificate_transparency() -> None:
    """The leaves and roots that the reference implementation is tested with."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    }
    for count, root in roots.items():
        assert merkle_root([bytes.fromhex(leaf) for leaf in leaves[:count]]).hex() == root


@given(st.lists(hashes, min_size=2, max_size=20, unique=True), st.randoms())
def test_the_order_of_the_entries_counts(leaves: list[bytes], random: object) -> None:
    assert merkle_root(leaves) != merkle_root(leaves[::-1])
    assert merkle_root(leaves) != merkle_root(leaves[:-1])


def test_block_one_follows_the_hash_of_its_tenant() -> None:
    assert genesis_hash(TENANT_ID) == hashlib.sha256(TENANT_ID).digest()


def test_the_block_hash_is_the_one_that_the_database_computes(postgres_url: str) -> None:
    statement = files("hpts.store.sql").joinpath("append_block.sql").read_text()
    found = re.search(r"block_hash = (sha256\(.*?\n {8}\))", statement, re.DOTALL)
    assert found
    formula = re.sub(r"\$(\d)", r"%(p\1)s", found[1])
    head = "(VALUES (%(previous)s::bytea, %(number)s::bigint)) AS head(block_hash, block_number)"
    with psycopg.connect(postgres_url) as connection:
        for number, count, byte in [(0, 1, 0), (1, 512, 7), (2**40, 65_536, 255)]:
            previous, root, first = bytes([byte] * 32), bytes([byte ^ 1] * 32), bytes([byte] * 16)
            row = connection.execute(
                f"SELECT {formula} FROM {head}".encode(),
                {
                    "previous": previous,
                    "number": number,
                    "p2": first.hex(),
                    "p3": count,
                    "p4": root,
                },
            ).fetchone()
            assert row == (
                block_hash(
                    previous, number + 1, first_entry_id=first, entry_count=count, entries_root=root
                ),
            )


def test_the_canonical_form_is_what_the_kernel_hashes() -> None:
    batch = new_batch()
    post(batch, *pair(7))
    form = canonical_entry(
        tenant_id=TENANT_ID,
        effective_day=9_000,
        posted_at=POSTED_AT,
        journal_entry_id=FIRST_ENTRY_ID,
        lines=[
            (1, 1000, b"D", b"S", b"USD", 7, None),
            (2, 2100, b"C", b"S", b"USD", 7, None),
        ],
        **FACTS,
    )
    assert batch.entry_hashes == [hashlib.sha256(form).digest()]


@pytest.mark.parametrize("currency", [b"", b"US", b"USDT"])
def test_a_currency_of_another_length_has_no_canonical_form(currency: bytes) -> None:
    with pytest.raises(ValueError, match="line 1 has a currency"):
        canonical_entry(
            tenant_id=TENANT_ID,
            effective_day=0,
            posted_at=0,
            journal_entry_id=FIRST_ENTRY_ID,
            lines=[(1, 1000, b"D", b"S", currency, 7, None)],
            **FACTS,
        )
