"""The leaves of a block, as `hpts verify` sees them. See _hashing.pyx."""

from typing import final

__pyx_capi__: dict[str, object]
"""What _vouching.pyx links to."""

@final
class Leaves:
    @property
    def count(self) -> int: ...
    def begin(self, block_number: int, first_entry_id: bytes, limit: int) -> None: ...
    def add(self, entry_hash: bytes) -> None: ...
    def root(self) -> bytes | None: ...
