"""Trees of hashes: roots, inclusion paths and consistency paths. Source: RFC 6962, section 2.1.

Leaves and nodes are told apart by their first byte, so that neither can pass for the other. A path
asks for the roots of ranges; whoever knows them, from leaves or from roots kept, passes them in.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

RootOf = Callable[[int, int], bytes]
"""The root over the leaves from `start` to before `end`."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two nodes."""
    return sha256(b"\x01" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root over the leaves in their order, at least one."""
    level = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        paired = [
            sha256(b"\x01" + level[at] + level[at + 1]).digest()
            for at in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def roots_of(known: Mapping[tuple[int, int], bytes]) -> RootOf:
    """The roots of ranges from `known` ones, by (start, end). Raises KeyError for a leaf that none
    of them covers."""

    def root_of(start: int, end: int) -> bytes:
        found = known.get((start, end))
        if found is not None:
            return found
        if end - start == 1:
            raise KeyError((start, end))
        middle = start + split(end - start)
        return node_hash(root_of(start, middle), root_of(middle, end))

    return root_of


def inclusion_path(index: int, size: int, root_of: RootOf) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root over `size` leaves, from the leaf up."""
    return _path(index, 0, size, root_of)


def consistency_path(old_size: int, size: int, root_of: RootOf) -> list[bytes]:
    """The hashes that show that the first `old_size` of `size` leaves, 1 or more, are those of the
    old tree."""
    return _subproof(old_size, 0, size, is_whole=True, root_of=root_of)


def split(size: int) -> int:
    """The largest power of two below `size`, which is 2 or more: the leaves on the left."""
    return 1 << (size - 1).bit_length() - 1


def _path(index: int, start: int, end: int, root_of: RootOf) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + split(end - start)
    if index < middle:
        return [*_path(index, start, middle, root_of), root_of(middle, end)]
    return [*_path(index, middle, end, root_of), root_of(start, middle)]


def _subproof(
    old_end: int, start: int, end: int, *, is_whole: bool, root_of: RootOf
) -> list[bytes]:
    if old_end == end:
        return [] if is_whole else [root_of(start, end)]
    middle = start + split(end - start)
    if old_end <= middle:
        left = _subproof(old_end, start, middle, is_whole=is_whole, root_of=root_of)
        return [*left, root_of(middle, end)]
    right = _subproof(old_end, middle, end, is_whole=False, root_of=root_of)
    return [*right, root_of(start, middle)]
