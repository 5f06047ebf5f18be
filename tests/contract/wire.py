"""Speaks HTTP/1.1 over a bare socket, for requests that an honest client cannot be made to send.

Notices a reply that comes before the request is complete, and reads exactly one.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx

from .document import Exchange

REPLY_WAIT_S_MAX = 20.0


def chunked(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Transfer-Encoding frames of the pieces; the last, empty frame is left out on purpose."""
    for piece in pieces:
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def exchange(
    base_url: str,
    method: str,
    path: str,
    *,
    headers: dict[str, str],
    pieces: Iterable[bytes] = (),
) -> Exchange:
    """One request, its pieces sent until a reply shows up; a missing reply is a TimeoutError."""
    target = urlsplit(base_url)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"{method} {path} HTTP/1.1\r\nHost: {target.netloc}\r\n{head}\r\n".encode("latin-1")
    with socket.create_connection((target.hostname, target.port), timeout=REPLY_WAIT_S_MAX) as wire:
        wire.sendall(start)
        try:
            for piece in pieces:
                if select.select([wire], [], [], 0)[0]:
                    break
                wire.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server closed its side early; its reply may still be readable.
        status, reply_headers, content = read_reply(wire)
    return Exchange(
        method=method,
        path=path,
        request_headers=httpx.Headers(headers),
        status=status,
        headers=reply_headers,
        content=content,
    )


def read_reply(wire: socket.socket) -> tuple[int, httpx.Headers, bytes]:
    received = b""
    deadline = time.monotonic() + REPLY_WAIT_S_MAX
    while True:
        head, separator, rest = received.partition(b"\r\n\r\n")
        if separator:
            status_line, *fields = head.split(b"\r\n")
            status = int(status_line.split(b" ")[1])
            if status == 100:
                received = rest
                continue
            headers = httpx.Headers(
                [tuple(part.strip() for part in field.split(b":", 1)) for field in fields]
            )
            if len(rest) >= int(headers.get("Content-Length", "0")):
                return status, headers, rest
        if time.monotonic() > deadline:
            raise TimeoutError("no reply before the request was complete")
        piece = wire.recv(65_536)
        if not piece:
            raise ConnectionError(f"closed after {received[:200]!r}")
        received += piece
