"""The issuer's public keys: loads its JSON Web Key Set, keeps it fresh, keeps the last good one.

It judges no token. An issuer that is away, slow or answers nonsense never empties the set and
never blocks the event loop; a well-formed set, even an empty one, is the issuer's word and
replaces the one before. Keys that cannot verify a signature are left out one by one.
"""

import asyncio
import contextlib
import http.client
import logging
import random
import time
import urllib.request
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from hpts.http.kept_keys import KeptKeys

logger = logging.getLogger("hpts")

REFRESH_SECONDS = 60.0
"""How long a key that the issuer has withdrawn may count, but for the jitter and the fetch."""
COOL_DOWN_SECONDS = 5.0
"""Shortest pause between two fetches: bounds what unknown key ids can make us ask the issuer."""
JITTER = 0.1
"""Part of a pause that is random, so that workers started together do not ask together."""
FETCH_SECONDS_MAX = 5.0
KEY_SET_BYTES_MAX = 512 * 1024
RSA_BITS_MIN = 2048
"""RFC 7518, 3.3."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey
_RSA = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class SigningKey(msgspec.Struct, frozen=True):
    """A public key with the algorithms that its type, curve and `alg` leave it."""

    kid: str | None
    algorithms: frozenset[str]
    public_key: PublicKey


class KeySet:
    """The usable keys of one JWK set; the same kid may stand for keys of different types."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._keys = tuple(keys)
        self._kids = frozenset(key.kid for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def holds_same_keys(self, other: "KeySet | None") -> bool:
        """Whether both sets have the same keys, in the same order."""
        return other is not None and self._keys == other._keys

    def kids_by_fingerprint(self) -> dict[str, str | None]:
        """The key ids by the SHA-256 of the key (DER of its SubjectPublicKeyInfo, hexadecimal)."""
        return {_fingerprint(key.public_key): key.kid for key in self._keys}

    def knows(self, kid: str) -> bool:
        """Whether the set has a key of that id, whatever its algorithm."""
        return kid in self._kids

    def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """The first key that fits; a `kid` of None fits every key."""
        for key in self._keys:
            if kid in (None, key.kid) and algorithm in key.algorithms:
                return key
        return None


class KeySource:
    """Holds the key set behind one http, https or file URL. `clock` gives monotonic seconds."""

    def __init__(
        self,
        url: str,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        cool_down_seconds: float = COOL_DOWN_SECONDS,
        fetch_seconds_max: float = FETCH_SECONDS_MAX,
        kept: KeptKeys | None = None,
        note: Callable[[KeySet], None] = lambda keys: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`note` is told of every set of other keys than before that the issuer itself answered."""
        self.current: KeySet | None = None
        """None until the first set was loaded; from then on always the last good one. It is another
        object only when the keys have changed: whoever remembers what one verified can tell."""
        self._url = url
        self._refresh_seconds = refresh_seconds
        self._cool_down_seconds = cool_down_seconds
        self._fetch_seconds_max = fetch_seconds_max
        self._kept = kept
        self._note = note
        self._noted: KeySet | None = None
        self._clock = clock
        self._fetched_at = float("-inf")
        self._succeeded = False
        self._flight: asyncio.Task[None] | None = None
        self._refresher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load once, then refresh in the background. An issuer that is away is only logged."""
        await self.refetch()
        self._refresher = asyncio.create_task(self._refresh_forever())

    async def stop(self) -> None:
        """End the background work; the last good set stays usable."""
        for task in (self._refresher, self._flight):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._refresher = self._flight = None

    async def refetch(self) -> None:
        """Fetch unless one ended within the cool-down; callers at the same time share one fetch.

        Never raises for what the issuer does: look at `current` afterwards.
        """
        if self._flight is None:
            if self._clock() - self._fetched_at < self._cool_down_seconds:
                return
            self._flight = asyncio.create_task(self._fetch())
        # Shielded: one client that hangs up must not end the fetch that others wait for.
        await asyncio.shield(self._flight)

    async def _refresh_forever(self) -> None:
        while True:
            pause = self._refresh_seconds if self._succeeded else self._cool_down_seconds
            # Upwards only: below the cool-down, the fetch would be skipped.
            await asyncio.sleep(pause * random.uniform(1.0, 1.0 + JITTER))  # noqa: S311
            await self.refetch()

    async def _fetch(self) -> None:
        try:
            # The thread has a deadline of its own; this one covers an issuer that trickles
            # headers, which urllib bounds only per read.
            async with asyncio.timeout(self._fetch_seconds_max * 2):
                loaded = await asyncio.to_thread(
                    load, self._url, self._fetch_seconds_max, self._kept
                )
            if not loaded.holds_same_keys(self.current):
                self.current = loaded
            if not loaded.holds_same_keys(self._noted):
                self._noted = loaded
                self._note(loaded)
            self._succeeded = True
        # Broad on purpose: an answer that breaks us in a way not foreseen must leave the last
        # good set in place and the refresher alive.
        except Exception as error:
            self._succeeded = False
            if self.current is None:
                self.current = self._find_kept()
            kept = "none was loaded yet" if self.current is None else "the last good one stays"
            logger.warning("the issuer's key set could not be loaded (%r); %s", error, kept)
        finally:
            self._fetched_at = self._clock()
            self._flight = None

    def _find_kept(self) -> KeySet | None:
        body = None if self._kept is None else self._kept.find()
        return None if body is None else parse_key_set(body)


def _fingerprint(key: PublicKey) -> str:
    encoded = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return sha256(encoded).hexdigest()


def load(url: str, seconds_max: float = FETCH_SECONDS_MAX, kept: KeptKeys | None = None) -> KeySet:
    """Fetch, parse and keep, blocking. Raises OSError, HTTPException or ValueError."""
    body = _read(url, seconds_max)
    keys = parse_key_set(body)
    if not len(keys):
        logger.warning("the issuer's key set holds no usable key; every token will be refused")
    if kept is not None:
        kept.keep(body)
    return keys


def parse_key_set(body: bytes) -> KeySet:
    """The usable keys of a JWK set. Raises ValueError where it is not a JWK set at all."""
    found = msgspec.json.decode(body, type=dict[str, Any]).get("keys")
    if not isinstance(found, list):
        raise ValueError("a JWK set has an array named keys")
    return KeySet(key for key in map(_usable_key, found) if key is not None)


class _RedirectRefused(urllib.request.HTTPRedirectHandler):
    """A redirect would let whoever answers the URL choose where keys come from, also in clear."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_RedirectRefused)


def _read(url: str, seconds_max: float) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "file":
        with Path(url2pathname(parts.path)).open("rb") as file:
            body = file.read(KEY_SET_BYTES_MAX + 1)
        _check_size(body)
        return body
    if parts.scheme not in ("http", "https"):
        raise ValueError("the key set is read from http, https and file URLs only")
    headers = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "hpts"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - scheme checked above
    with _opener.open(request, timeout=seconds_max) as response:
        return _read_until(response, time.monotonic() + seconds_max)


def _read_until(response: http.client.HTTPResponse, deadline: float) -> bytes:
    body = bytearray()
    while chunk := response.read1(65_536):
        body += chunk
        _check_size(body)
        if time.monotonic() > deadline:
            raise TimeoutError("the issuer sends its key set too slowly")
    if response.length:
        raise ValueError("the key set ended early")
    return bytes(body)


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > KEY_SET_BYTES_MAX:
        raise ValueError(f"the key set is over {KEY_SET_BYTES_MAX} bytes")


def _usable_key(jwk: object) -> SigningKey | None:
    if not isinstance(jwk, dict) or not _is_for_signatures(jwk):
        return None
    algorithms = _algorithms_of(jwk)
    if not algorithms:
        return None
    try:
        public_key = _public_key(jwk)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
    if isinstance(public_key, RSAPublicKey) and public_key.key_size < RSA_BITS_MIN:
        return None
    return SigningKey(kid=jwk.get("kid"), algorithms=algorithms, public_key=public_key)


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops")
    return (
        jwk.get("use", "sig") == "sig"
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and isinstance(jwk.get("kid"), str | None)
    )


def _algorithms_of(jwk: dict[str, Any]) -> frozenset[str]:
    kty, curve, declared = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    possible: frozenset[str] = frozenset()
    if kty == "RSA":
        possible = _RSA
    elif kty == "EC" and isinstance(curve, str) and curve in _CURVES:
        possible = frozenset((_CURVES[curve],))
    elif kty == "OKP" and curve in ("Ed25519", "Ed448"):
        possible = frozenset(("EdDSA",))
    if declared is None:
        return possible
    return frozenset(name for name in possible if name == declared)


def _public_key(jwk: dict[str, Any]) -> PublicKey:
    readers: dict[str, Callable[[dict[str, Any]], Any]] = {
        "RSA": RSAAlgorithm.from_jwk,
        "EC": ECAlgorithm.from_jwk,
        "OKP": OKPAlgorithm.from_jwk,
    }
    key = readers[jwk["kty"]](jwk)
    # A private half that is published signs for anyone who reads it.
    if not isinstance(key, PublicKey):
        raise ValueError("not a public key")
    return key
