"""One keep-alive HTTP/1.1 connection: a request out, a reply with its whole body back.

Knows framing only (Content-Length, chunks, end of stream). Any broken stream raises
ConnectionError, after which the connection opens anew at its next use.
"""

import asyncio
import ssl

import msgspec

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024


class HttpReply(msgspec.Struct, frozen=True):
    status: int
    headers: dict[bytes, bytes]
    """Names in lower case."""
    body: bytes


class Connection:
    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, request: bytes) -> HttpReply:
        """Send `request` and read the reply. The caller bounds the time."""
        try:
            return await self._exchange(request)
        except (EOFError, ValueError, asyncio.LimitOverrunError, OSError) as error:
            self.close()
            raise ConnectionError(f"{self._host}:{self._port}: {error}") from error
        except BaseException:
            # A cancelled exchange may leave half a reply behind; never read it as the next one.
            self.close()
            raise

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, request: bytes) -> HttpReply:
        reader, writer = await self._open()
        writer.write(request)
        await writer.drain()
        status, headers = _parse_head(await reader.readuntil(b"\r\n\r\n"))
        body = await _read_body(reader, headers)
        if headers.get(b"connection", b"").lower() == b"close" or _ends_with_stream(headers):
            self.close()
        return HttpReply(status, headers, body)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # asyncio and uvloop set TCP_NODELAY on every TCP stream themselves.
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._host, self._port, ssl=self._tls, limit=HEAD_BYTES_MAX
            )
        return self._streams


def _parse_head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    status_line, *lines = head[:-4].split(b"\r\n")
    version, code, *_ = status_line.split(b" ", 2)
    if not version.startswith(b"HTTP/1."):
        raise ValueError(f"not an HTTP/1 reply: {status_line[:40]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return int(code), headers


def _ends_with_stream(headers: dict[bytes, bytes]) -> bool:
    return b"content-length" not in headers and not _is_chunked(headers)


def _is_chunked(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"transfer-encoding", b"").lower() == b"chunked"


async def _read_body(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> bytes:
    if _is_chunked(headers):
        return await _read_chunks(reader)
    if b"content-length" in headers:
        return await reader.readexactly(_bounded(int(headers[b"content-length"])))
    return await reader.read(BODY_BYTES_MAX)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size_line = await reader.readuntil(b"\r\n")
        size = int(size_line.split(b";")[0], 16)
        if size == 0:
            break
        _bounded(len(body) + size)
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":  # trailers
        pass
    return bytes(body)


def _bounded(size: int) -> int:
    if not 0 <= size <= BODY_BYTES_MAX:
        raise ValueError(f"a body of {size} bytes is not what this API answers")
    return size
