"""Webhooks: how a message is signed (Standard Webhooks), when it is tried again, where it may go.

Source of the signature: standard-webhooks, spec/standard-webhooks.md.
"""

import base64
import hmac
import ipaddress
from collections.abc import Iterable, Sequence

from hpts.domain import limits

SECRET_PREFIX = "whsec_"  # noqa: S105
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NOT_GLOBAL: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("3fff::/20"),
    ipaddress.IPv6Network("5f00::/16"),
    ipaddress.IPv6Network("fec0::/10"),
)
"""What `is_global` of one Python or another lets pass: IANA's registries of special addresses, the
relays of 6to4, and the site-local addresses that were before fc00::/7."""


def format_secret(secret: bytes) -> str:
    """As its owner is shown it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def sign(secrets: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of webhook-signature: one signature for each secret that is live."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
        for secret in secrets
    )


def retry_after_ms(attempt_count: int, draw: int) -> int:
    """How long to wait after so many attempts that failed: doubled each time up to a bound, of
    which `draw`, a number below 1,000, leaves between a half and the whole."""
    doubled = limits.WEBHOOK_RETRY_MS_MIN << min(attempt_count - 1, 30)
    whole = min(doubled, limits.WEBHOOK_RETRY_MS_MAX)
    return whole // 2 + whole // 2 * draw // 1000


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether a webhook may go to an address: a public one, or one of the networks allowed."""
    return _is_within(address, allowed) or all(
        each.is_global
        and not _is_within(each, NOT_GLOBAL)
        and not each.is_multicast
        and not each.is_reserved
        and not each.is_unspecified
        for each in (address, *_embedded(address))
    )


def is_private_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether it is of a network that the operator allowed: plain http may go there."""
    return _is_within(address, allowed)


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(
        each in network
        for each in (address, *_embedded(address))
        for network in networks
        if each.version == network.version
    )


def _embedded(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [each for each in found if each is not None]
