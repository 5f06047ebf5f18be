"""The chain's hashes, against RFC 6962 written otherwise and against PostgreSQL."""

import hashlib
import re
from importlib.resources import files

import psycopg
import pytest

from hpts.domain.blocks import block_hash, canonical_entry, genesis_hash
from tests.kernel.entries import FACTS, FIRST_ENTRY_ID, POSTED_AT, TENANT_ID, new_batch, pair, post


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
