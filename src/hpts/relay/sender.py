"""Sends one message to an endpoint's URL and says what came of it.

The address is judged where the socket to it is made, so no name, redirect or second resolution
leads anywhere else. Redirects are not followed, proxies of the environment not used, and an answer
is read only so far as it takes to use its connection again.
"""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from hpts.domain import limits
from hpts.domain.webhooks import Network, is_allowed, is_private_allowed
from hpts.telemetry import logger

DNS_SECONDS = 10
BODY_SECONDS = 1
ERROR_LENGTH_MAX = 200
NOT_PUBLIC = "the host's address is not public"
NOT_PLAIN = "plain http may not go to the host's address"


class Answer(NamedTuple):
    """An HTTP status, or None where there was no answer; why it is none that acknowledges."""

    status: int | None
    error: str | None


class AddressRefused(OSError):
    """The address is not one that webhooks may go to. Which it is, the log says only."""


class Sender:
    """The connections to one endpoint."""

    def __init__(
        self,
        url: str,
        allowed: Sequence[Network],
        *,
        resolver: AbstractResolver | None = None,
        seconds_max: float = limits.WEBHOOK_SECONDS_MAX,
    ) -> None:
        self.url = url
        self._allowed = allowed
        self._host = urlsplit(url).hostname
        is_https = url.startswith("https:")
        self._may_go = is_allowed if is_https else is_private_allowed
        self._refusal = NOT_PUBLIC if is_https else NOT_PLAIN
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.WEBHOOK_SENDS_AT_ONCE,
                ttl_dns_cache=DNS_SECONDS,
                resolver=resolver,
                socket_factory=self._socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=seconds_max),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a message. Never raises for what an endpoint does."""
        try:
            async with self._session.post(
                self.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                await _read_off(response)
        except TimeoutError:
            return Answer(None, "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, _shown(error))
        if 200 <= status <= 299:
            return Answer(status, None)
        return Answer(status, f"answered {status}")

    def _socket(self, address_info: Any) -> socket.socket:
        family, kind, protocol, _, address = address_info
        try:
            found = ipaddress.ip_address(address[0].partition("%")[0])
        except ValueError:
            raise AddressRefused(errno.EACCES, self._refusal) from None
        if not self._may_go(found, self._allowed):
            logger.warning("a webhook to %s may not go to %s", self._host, found)
            raise AddressRefused(errno.EACCES, self._refusal)
        return socket.socket(family, kind, protocol)


async def _read_off(response: aiohttp.ClientResponse) -> None:
    """Have the connection used again, where the rest of the answer is small and comes at once."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(BODY_SECONDS):
            await response.content.read(limits.WEBHOOK_ANSWER_BYTES_MAX)
    if not response.content.at_eof():
        response.close()


def _shown(error: BaseException) -> str:
    """What a tenant is told of a failure: never an address, which would tell him what the names of
    our own network stand for."""
    text = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        text = "the host has no address"
    elif isinstance(error, aiohttp.ClientConnectorError):
        found = error.os_error
        if isinstance(found, AddressRefused):
            text = str(found.strerror)
        elif found.errno is not None and not isinstance(found, ssl.SSLError):
            text = f"no connection: {os.strerror(found.errno)}"
    return "".join(each if each.isprintable() else "?" for each in text[:ERROR_LENGTH_MAX])
