"""Sends one message to an endpoint's URL and says what came of it.

The address is judged where the socket to it is made, so no name, redirect or second resolution
leads anywhere else. Redirects are not followed, proxies of the environment not used, and an answer
is read only so far as it takes to use its connection again.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver

from hpts.domain import limits
from hpts.domain.webhooks import Network, is_allowed, is_private_allowed

DNS_SECONDS = 10
ERROR_LENGTH_MAX = 200


class Answer(NamedTuple):
    """An HTTP status, or None where there was no answer; why it is none that acknowledges."""

    status: int | None
    error: str | None


class AddressRefused(OSError):
    """The address is not one that webhooks may go to."""


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
        self._may_go = is_allowed if url.startswith("https:") else is_private_allowed
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
                await response.content.read(limits.WEBHOOK_ANSWER_BYTES_MAX)
                if not response.content.at_eof():
                    response.close()
                status = response.status
        except TimeoutError:
            return Answer(None, "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            return Answer(None, (str(error) or type(error).__name__)[:ERROR_LENGTH_MAX])
        if 200 <= status <= 299:
            return Answer(status, None)
        return Answer(status, f"answered {status}")

    def _socket(self, address_info: Any) -> socket.socket:
        family, kind, protocol, _, address = address_info
        try:
            found = ipaddress.ip_address(address[0].partition("%")[0])
        except ValueError:
            raise AddressRefused(errno.EACCES, f"{address[0]} is no address") from None
        if not self._may_go(found, self._allowed):
            raise AddressRefused(errno.EACCES, f"webhooks may not go to {found}")
        return socket.socket(family, kind, protocol)
