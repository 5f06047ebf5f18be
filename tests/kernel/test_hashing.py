"""The root over a block's entries is RFC 6962's tree hash, whichever library hashes."""

import random
import subprocess
import sys
from hashlib import sha256

import pytest

from hpts._hashing import Leaves

WITHOUT_THE_LIBRARY = """
import hashlib, sys, types
sys.modules["_hashlib"] = types.ModuleType("_hashlib")
from hpts._hashing import Leaves
leaves = Leaves()
leaves.begin(1, bytes(16), 3)
for number in range(3):
    leaves.add(bytes([number]) * 32)
print(leaves.root().hex())
"""


def merkle_root(leaves: list[bytes]) -> bytes:
    """As RFC 6962, section 2.1, has it: the left side is the largest power of two below all."""
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + merkle_root(leaves[:left]) + merkle_root(leaves[left:])).digest()


def leaves_of(hashes: list[bytes]) -> Leaves:
    leaves = Leaves()
    leaves.begin(1, bytes(16), len(hashes))
    for entry_hash in hashes:
        leaves.add(entry_hash)
    return leaves


@pytest.mark.parametrize("count", [*range(1, 20), 64, 100, 257])
def test_a_root_is_that_of_the_tree_over_the_leaves(count: int) -> None:
    drawn = random.Random(count)
    hashes = [drawn.randbytes(32) for _ in range(count)]
    leaves = leaves_of(hashes)
    assert leaves.count == count
    assert leaves.root() == merkle_root(hashes)


def test_there_is_no_root_over_nothing_or_what_is_no_hash() -> None:
    assert leaves_of([]).root() is None
    assert leaves_of([bytes(32), b""]).root() is None
    with pytest.raises(ValueError, match="16 bytes"):
        Leaves().begin(1, b"", 1)


def test_leaves_begin_anew_with_every_block() -> None:
    leaves = leaves_of([bytes(32), b""])
    leaves.begin(2, bytes(16), 1)
    leaves.add(bytes(32))
    assert (leaves.count, leaves.root()) == (1, merkle_root([bytes(32)]))


def test_without_the_library_behind_hashlib_the_root_is_the_same() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_LIBRARY], capture_output=True, text=True, check=True
    )
    hashes = [bytes([number]) * 32 for number in range(3)]
    assert ran.stdout.strip() == merkle_root(hashes).hex()
