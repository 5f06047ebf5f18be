"""What the value of a setting may be: each function reads one kind of text.

All raise ValueError that says what the value must be. They know no setting by name.
"""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hpts.domain import limits

TAKES_POSTINGS = re.compile(r"(?:^|[?&\s])target_session_attrs\s*=\s*'?(?:read-write|primary)\b")
HOSTS = re.compile(r"(?:^|[?&\s])host(?:addr)?\s*=\s*('(?:[^'\\]|\\.)*'|[^&\s]*)")

MAPPED_BITS = 96
"""What ::ffff:0:0/96, IPv4 in IPv6, has before the IPv4 address."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def text(given: str) -> str:
    if not given:
        raise ValueError("must not be empty; unset it for the default")
    return given


def path(given: str) -> Path:
    return Path(text(given))


def _parts(given: str) -> list[str]:
    parts = [part.strip() for part in given.split(",")]
    if not all(parts):
        raise ValueError("must be comma-separated, with nothing empty; unset it for none")
    return parts


def names(given: str) -> tuple[str, ...]:
    return tuple(_parts(given))


def paths(given: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in _parts(given))


def networks(given: str) -> tuple[str, ...]:
    found = [_without_mapping(ipaddress.ip_network(part)) for part in _parts(given)]
    if any(network.prefixlen == 0 for network in found):
        raise ValueError("would trust everybody; name the proxies' own addresses")
    return tuple(str(network) for network in found)


def _without_mapping(network: Network) -> Network:
    """IPv4 in IPv6's spelling (::ffff:192.0.2.1) as IPv4: addresses are compared as such."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - MAPPED_BITS))


def whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(given: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", given) or not low <= int(given) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(given)

    return parse


def url(*schemes: str) -> Callable[[str], str]:
    def parse(given: str) -> str:
        if urlsplit(given).scheme not in schemes:
            raise ValueError(f"must be a URL that starts with {' or '.join(schemes)}")
        return given

    return parse


def database_url(given: str) -> str:
    """Of the database that postings go to: of several hosts, the one that takes them."""
    if _has_several_hosts(any_database_url(given)) and not TAKES_POSTINGS.search(given):
        raise ValueError(
            "names several hosts, of which one may be a standby; add "
            "target_session_attrs=read-write, so that the one that can be written to is found"
        )
    return given


def any_database_url(given: str) -> str:
    if not re.match(r"(postgresql|postgres)://|.*=", given):
        raise ValueError("must be postgresql://user:password@host:port/name or key=value pairs")
    return given


def _has_several_hosts(database_url: str) -> bool:
    _, _, rest = database_url.partition("://")
    named = re.split("[/?]", rest, maxsplit=1)[0].rpartition("@")[2]
    return "," in named or any("," in unquote(found) for found in HOSTS.findall(database_url))


def algorithms(given: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in given.split(","))
    unknown = [name for name in found if name not in limits.TOKEN_ALGORITHMS]
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)}: only asymmetric algorithms, comma-separated, from "
            + ", ".join(sorted(limits.TOKEN_ALGORITHMS))
        )
    return found


def problem_base(given: str) -> str:
    return url("http", "https")(given).rstrip("/") + "/"


def git_sha(given: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{7,40}", given):
        raise ValueError("must be 7 to 40 lower-case hexadecimal digits")
    return given


def one_of(*known: str) -> Callable[[str], str]:
    def parse(given: str) -> str:
        if given not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return given

    return parse


def switch(given: str) -> bool:
    if given not in ("true", "false", "1", "0"):
        raise ValueError("must be true or false")
    return given in ("true", "1")
