"""What vouches for entries, as `hpts verify` sees it. See _vouching.pyx."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, final

from hpts._hashing import Leaves

@final
class Rows:
    @property
    def count(self) -> int: ...
    @property
    def row(self) -> memoryview | None: ...
    @property
    def taken(self) -> list[memoryview]: ...
    def __init__(
        self, source: Iterable[memoryview], on_stray: Callable[[memoryview], None] | None = None
    ) -> None: ...
    def skip(self) -> None: ...
    def finish(self) -> None: ...

@final
class Walk:
    @property
    def entries(self) -> Rows: ...
    @property
    def lines(self) -> Rows: ...
    @property
    def entry_loans(self) -> Rows: ...
    @property
    def leaves(self) -> Leaves: ...
    def __init__(
        self,
        tenant_id: bytes,
        entries: Rows,
        lines: Rows,
        entry_loans: Rows,
        *,
        leaves: Leaves,
        reach: Callable[[bytes], object],
        is_computed_on: Callable[[bytes, str], bool],
        tally: defaultdict[tuple[int, bytes, bytes, int, bytes], int],
        after_block: int,
    ) -> None: ...
    def pass_vouched(self, most: int) -> int: ...
    def finish(self) -> None: ...

def unpack(row: memoryview, integers: Collection[int]) -> tuple[Any, ...]: ...
