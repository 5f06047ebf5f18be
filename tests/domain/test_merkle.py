"""Trees of hashes, against RFC 6962 written otherwise and the verifier that stands alone."""

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts import proofs
from hpts.domain.merkle import (
    consistency_path,
    inclusion_path,
    leaf_hash,
    merkle_root,
    roots_of,
    split,
)

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
    inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "60616263646566676869" + "6a6b6c6d6e6f",
    ]
    leaves = [bytes.fromhex(leaf) for leaf in inputs]
    roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    for count, root in enumerate(roots, 1):
        assert merkle_root(leaves[:count]).hex() == root


@given(st.lists(hashes, min_size=2, max_size=20, unique=True), st.randoms())
def test_the_order_of_the_entries_counts(leaves: list[bytes], random: object) -> None:
    assert merkle_root(leaves) != merkle_root(leaves[::-1])
    assert merkle_root(leaves) != merkle_root(leaves[:-1])


def leaves_of(count: int) -> list[bytes]:
    return [hashlib.sha256(bytes([at % 256, at // 256])).digest() for at in range(count)]


def known(leaves: list[bytes]) -> dict[tuple[int, int], bytes]:
    return {(at, at + 1): leaf_hash(leaf) for at, leaf in enumerate(leaves)}


@pytest.mark.parametrize("size", range(1, 40))
def test_every_leaf_of_every_tree_has_a_path_to_the_root(size: int) -> None:
    leaves = leaves_of(size)
    root_of = roots_of(known(leaves))
    assert root_of(0, size) == merkle_root(leaves)
    for at, leaf in enumerate(leaves):
        path = inclusion_path(at, size, root_of)
        assert proofs.root_of_inclusion(leaf, at, size, path) == merkle_root(leaves)


@pytest.mark.parametrize("size", range(1, 40))
def test_every_tree_is_the_beginning_of_every_larger_one(size: int) -> None:
    leaves = leaves_of(size)
    root_of = roots_of(known(leaves))
    for old_size in range(1, size + 1):
        old_root = merkle_root(leaves[:old_size])
        path = consistency_path(old_size, size, root_of)
        roots = proofs.roots_of_consistency(old_size, size, old_root, path)
        assert roots == (old_root, merkle_root(leaves))


@given(st.integers(2, 200), st.data())
def test_a_path_with_another_leaf_index_or_hash_leads_elsewhere(
    size: int, data: st.DataObject
) -> None:
    leaves = leaves_of(size)
    at = data.draw(st.integers(0, size - 1))
    path = inclusion_path(at, size, roots_of(known(leaves)))
    place = data.draw(st.integers(0, len(path) - 1))
    bent = [*path[:place], hashlib.sha256(path[place]).digest(), *path[place + 1 :]]
    other = data.draw(st.integers(0, size - 1).filter(lambda index: index != at))
    root = merkle_root(leaves)
    assert proofs.root_of_inclusion(leaves[at], at, size, bent) != root
    assert proofs.root_of_inclusion(leaves[other], at, size, path) != root
    with contextlib.suppress(proofs.NotProven):  # a path of that length leads nowhere from there
        assert proofs.root_of_inclusion(leaves[at], other, size, path) != root
    for wrong in (path[1:], path[:-1], [*path, path[0]]):
        with pytest.raises(proofs.NotProven):
            proofs.root_of_inclusion(leaves[at], at, size, wrong)


@given(st.integers(2, 200), st.data())
def test_a_rewritten_history_is_not_consistent(size: int, data: st.DataObject) -> None:
    old_size = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old_size - 1))
    old_root = merkle_root(leaves_of(old_size))
    leaves = leaves_of(size)
    leaves[changed] = b"another"
    path = consistency_path(old_size, size, roots_of(known(leaves)))
    roots = proofs.roots_of_consistency(old_size, size, old_root, path)
    assert roots != (old_root, merkle_root(leaves))


def test_kept_roots_stand_in_for_their_leaves() -> None:
    leaves = leaves_of(300)
    tiles = {(0, 256): merkle_root(leaves[:256])}
    tiles.update({(at, at + 1): leaf_hash(leaves[at]) for at in range(256, 300)})
    root_of = roots_of(tiles)
    assert root_of(0, 300) == merkle_root(leaves)
    path = inclusion_path(299, 300, root_of)
    assert proofs.root_of_inclusion(leaves[299], 299, 300, path) == merkle_root(leaves)
    with pytest.raises(KeyError):
        inclusion_path(3, 300, root_of)


@given(st.integers(2, 10**18))
def test_the_left_part_is_the_largest_power_of_two_below(size: int) -> None:
    left = split(size)
    assert left < size <= 2 * left
    assert left & (left - 1) == 0
