"""The TCP connection under a request: how much the client has taken, and how to break it off.

granian takes whatever a stream sends into memory, and ends a stream that failed as if it were
whole; it offers neither a way to wait nor one to abort. The kernel does, for the connection whose
other end is the request's peer: this finds it among the process's own descriptors.
"""

import contextlib
import os
import socket
import stat
import struct

ESTABLISHED = 1
INFO_BYTES = 256
ACKNOWLEDGED_AT = 120
"""Where struct tcp_info has tcpi_bytes_acked (Linux 4.1, linux/tcp.h)."""


class Connection:
    """A client's connection, by a descriptor of our own: to be closed, whoever else closes it."""

    def __init__(self, found: socket.socket) -> None:
        self._socket = found
        self._before = self._info()[1]

    @property
    def is_open(self) -> bool:
        """Whether the client is still there to read."""
        return self._info()[0] == ESTABLISHED

    @property
    def bytes_taken(self) -> int:
        """What the client's side has acknowledged since this was made."""
        return self._info()[1] - self._before

    def break_off(self) -> None:
        """End the connection now; the client sees that the answer is not whole."""
        with contextlib.suppress(OSError):  # it may have ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it, without ending it."""
        self._socket.close()

    def _info(self) -> tuple[int, int]:
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
        return info[0], struct.unpack_from("=Q", info, ACKNOWLEDGED_AT)[0]


def find_connection(peer: str, port: int) -> Connection | None:
    """This process's connection to an address and port, None where it has none. Slow with many
    thousands of connections (some 5 us each): not for the event loop."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if _peer_of(descriptor) != (peer, port):
            continue
        try:
            found = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            continue  # closed just now
        # Between the look and the copy the number may have become another connection's.
        if found.family in (socket.AF_INET, socket.AF_INET6) and _peer_of(found.fileno()) == (
            peer,
            port,
        ):
            return Connection(found)
        found.close()
    return None


def _peer_of(descriptor: int) -> tuple[str, int] | None:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        looked_at = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    except OSError:
        return None
    try:
        address = looked_at.getpeername()
    except OSError:
        return None
    finally:
        looked_at.detach()  # it is not ours to close
    if not isinstance(address, tuple):
        return None
    return address[0], address[1]
