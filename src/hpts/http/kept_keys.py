"""The issuer's last good key set, in memory that a server's processes share, for those to come.

A worker that starts while the issuer is away (after a crash, a reload) takes its keys from here.
It is gone when the last process is; nothing is on a disk that somebody could change.
"""

import mmap
from hashlib import sha256
from struct import Struct

_head = Struct(">I32s")


class KeptKeys:
    """Make it before the processes are forked. Each may write; the last one's word counts."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._memory = mmap.mmap(-1, _head.size + bytes_max)

    def keep(self, body: bytes) -> None:
        """Replace what is kept; what is too large is left out."""
        if len(body) <= self._bytes_max:
            self._memory[: _head.size + len(body)] = (
                _head.pack(len(body), sha256(body).digest()) + body
            )

    def find(self) -> bytes | None:
        """What was kept last; None for nothing, or where two wrote at once and left a mixture."""
        size, digest = _head.unpack(self._memory[: _head.size])
        body = self._memory[_head.size : _head.size + size]
        return body if sha256(body).digest() == digest else None
