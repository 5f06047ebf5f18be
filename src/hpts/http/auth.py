"""Who is calling: turns the Authorization header into a Principal, or refuses it (rules.md, 5).

It decides neither whether a scope suffices nor whether the tenant exists. Whatever a client sends
ends in a Principal or a TokenRefused; nothing of a token is kept, logged or echoed but the claims
of a Principal, and a cached one is never honoured after the token's own expiry.
"""

import base64
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import jwt
import msgspec
from jwt.api_jws import PyJWS

from hpts.domain import limits
from hpts.http.jwks import KeySet, KeySource, SigningKey

HEADER_BYTES_MAX = limits.TOKEN_BYTES_MAX + len(b"Bearer ")
TIMESTAMP_MAX = 253_402_300_799
"""The last second of the year 9999; a claim beyond it is a mistake, most often milliseconds."""

CERTIFICATE_CONFIRMATION = "x5t#S256"
"""The member of `cnf` that names the certificate a token is bound to (RFC 8705)."""

_COMPACT_JWS = re.compile(rb"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# SHA-256 in base64url: 43 characters, of which the last has two bits that count for nothing.
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Line separators too: an actor is shown in audit listings, one entry a line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Principal(msgspec.Struct, frozen=True):
    """The verified caller. `tenant_id` is the UUID's 16 bytes, `tenant` its lower-case text.

    `thumbprint` is the SHA-256 of the only client certificate that the token is good with.
    `is_partner_client` says that the client must come over mutual TLS, whatever its tenant.
    """

    tenant_id: bytes
    tenant: str
    actor: str
    scopes: frozenset[str]
    expires_at: float
    thumbprint: bytes | None = None
    is_partner_client: bool = False


class TokenRefused(Exception):
    """401: `reason` is fit for error_description (RFC 6750, 3) and repeats nothing sent. `advice`
    is what to do, where another token does not help."""

    def __init__(self, reason: str, advice: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice

    @property
    def challenge(self) -> str:
        """The value of the answer's WWW-Authenticate header."""
        return f'Bearer error="invalid_token", error_description="{self.reason}"'


class KeysUnavailable(Exception):
    """503: no key set was ever loaded, so no token can be judged; the client may retry."""


class _JoseHeader(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    aud: str | list[str]
    exp: float
    tenant_id: str
    nbf: float | None = None
    iat: float | None = None
    sub: str | None = None
    client_id: str | None = None
    azp: str | None = None
    scope: str | None = None
    scp: str | list[str] | None = None
    cnf: dict[str, Any] | None = None


_header_decoder = msgspec.json.Decoder(_JoseHeader)
_claims_decoder = msgspec.json.Decoder(_Claims)


class Verifier:
    """Checks bearer tokens of one issuer for one audience; remembers those that passed.

    What was remembered counts only while the key set is the one that verified it, so a key that
    leaves the set takes its tokens along. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        algorithms: tuple[str, ...],
        partner_clients: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not algorithms or not limits.TOKEN_ALGORITHMS.issuperset(algorithms):
            raise ValueError(f"not a list of asymmetric algorithms: {algorithms}")
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._algorithms = frozenset(algorithms)
        self._signatures = PyJWS(algorithms=algorithms)
        self._partner_clients = frozenset(partner_clients)
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[float, Principal, KeySet | None]] = OrderedDict()

    def verify_cached(self, header: bytes | None) -> Principal | None:
        """The Principal of an Authorization value verified lately; None says nothing about it."""
        if header is None or len(header) > HEADER_BYTES_MAX:
            return None
        entry = self._cache.get(hashlib.sha256(header).digest())
        if entry is None or entry[2] is not self._keys.current or self._clock() >= entry[0]:
            return None
        return entry[1]

    async def verify(self, header: bytes | None) -> Principal:
        """The Principal of an Authorization value. Raises TokenRefused or KeysUnavailable."""
        principal = self.verify_cached(header)
        if principal is not None:
            return principal
        token, jose = _parse_authorization(header)
        if jose.alg not in self._algorithms:
            raise TokenRefused("the signature algorithm is not accepted")
        key = await self._find_key(jose)
        principal = self._check_claims(self._verify_signature(token, key, jose.alg))
        self._remember(header, principal)
        return principal

    async def _find_key(self, jose: _JoseHeader) -> SigningKey:
        keys = self._keys.current
        if keys is None or (jose.kid is not None and not keys.knows(jose.kid)):
            await self._keys.refetch()
            keys = self._keys.current
        if keys is None:
            raise KeysUnavailable("the issuer's key set has not been loaded yet")
        # `kid` is optional (RFC 7515, 4.1.4) and small issuers omit it. With one key there is no
        # choice to make; with more, trying each would let the token choose, so it is refused.
        if jose.kid is None and len(keys) != 1:
            raise TokenRefused("the token does not name its key (kid)")
        if jose.kid is not None and not keys.knows(jose.kid):
            raise TokenRefused("the key that signed the token is not known")
        key = keys.find(jose.kid, jose.alg)
        if key is None:
            raise TokenRefused("the key does not fit the signature algorithm")
        return key

    def _verify_signature(self, token: bytes, key: SigningKey, algorithm: str) -> _Claims:
        try:
            verified: dict[str, Any] = self._signatures.decode_complete(
                token, key.public_key, algorithms=[algorithm]
            )
        except jwt.InvalidSignatureError:
            raise TokenRefused("the signature does not match") from None
        # The token is hostile until here; the libraries below PyJWT raise errors of their own.
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            raise TokenRefused("the token is not a signed JWT") from None
        try:
            return _claims_decoder.decode(verified["payload"])
        except msgspec.ValidationError as error:
            # It names our own fields and JSON types only, never a value.
            raise TokenRefused(f"claims: {error}") from None
        except (ValueError, RecursionError):
            raise TokenRefused("the claims are not a JSON object") from None

    def _check_claims(self, claims: _Claims) -> Principal:
        self._check_times(claims)
        if claims.iss != self._issuer:
            raise TokenRefused("the token is from another issuer")
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if self._audience not in audiences:
            raise TokenRefused("the token is for another audience")
        if not _UUID.fullmatch(claims.tenant_id):
            raise TokenRefused("tenant_id is not a UUID")
        return Principal(
            tenant_id=bytes.fromhex(claims.tenant_id.replace("-", "")),
            tenant=claims.tenant_id.lower(),
            actor=_actor(claims),
            scopes=_scopes(claims),
            expires_at=claims.exp,
            thumbprint=_thumbprint(claims.cnf),
            is_partner_client=not self._partner_clients.isdisjoint(
                (claims.client_id, claims.azp, claims.sub)
            ),
        )

    def _check_times(self, claims: _Claims) -> None:
        now = self._clock()
        for instant in (claims.exp, claims.nbf, claims.iat):
            if instant is not None and not 0 <= instant <= TIMESTAMP_MAX:
                raise TokenRefused("exp, nbf and iat must be Unix seconds")
        if now >= claims.exp + limits.TOKEN_LEEWAY_SECONDS:
            raise TokenRefused("the token has expired")
        for begin in (claims.nbf, claims.iat):
            if begin is not None and begin > now + limits.TOKEN_LEEWAY_SECONDS:
                raise TokenRefused("the token is not valid yet")

    def _remember(self, header: bytes | None, principal: Principal) -> None:
        if header is None:
            return
        digest = hashlib.sha256(header).digest()
        until = min(
            principal.expires_at + limits.TOKEN_LEEWAY_SECONDS,
            self._clock() + limits.TOKEN_CACHE_SECONDS_MAX,
        )
        self._cache[digest] = (until, principal, self._keys.current)
        self._cache.move_to_end(digest)
        if len(self._cache) > limits.TOKEN_CACHE_MAX:
            self._cache.popitem(last=False)


def _parse_authorization(header: bytes | None) -> tuple[bytes, _JoseHeader]:
    if not header:
        raise TokenRefused("a bearer token is required")
    scheme, _, credentials = header.partition(b" ")
    if scheme.lower() != b"bearer":
        raise TokenRefused("the Authorization header is not of the Bearer scheme")
    if len(header) > HEADER_BYTES_MAX:
        raise TokenRefused(f"the token is over {limits.TOKEN_BYTES_MAX} bytes")
    token = credentials.strip(b" ")
    parts = _COMPACT_JWS.fullmatch(token)
    if parts is None:
        raise TokenRefused("the token is not a signed JWT")
    try:
        encoded = parts[1] + b"=" * (-len(parts[1]) % 4)
        return token, _header_decoder.decode(base64.urlsafe_b64decode(encoded))
    except (ValueError, RecursionError):
        raise TokenRefused("the token is not a signed JWT") from None


def _actor(claims: _Claims) -> str:
    # A claim that is there but unusable is refused, not passed over: the next one names another
    # party, and the journal would carry the wrong name for good.
    for actor in (claims.sub, claims.client_id, claims.azp):
        if actor is None:
            continue
        if not actor or len(actor) > limits.ACTOR_LENGTH_MAX or _CONTROL.search(actor):
            raise TokenRefused("the subject is empty, too long or has control characters")
        return actor
    raise TokenRefused("the token names no subject (sub, client_id or azp)")


def _thumbprint(confirmation: dict[str, Any] | None) -> bytes | None:
    if confirmation is None:
        return None
    # A token that is bound in another way too (a DPoP key) must not count as one that is not.
    if confirmation.keys() != {CERTIFICATE_CONFIRMATION}:
        raise TokenRefused("the token is bound to its holder in a way that is not supported")
    thumbprint = confirmation[CERTIFICATE_CONFIRMATION]
    if not isinstance(thumbprint, str) or not _THUMBPRINT.fullmatch(thumbprint):
        raise TokenRefused("cnf x5t#S256 is not a SHA-256 thumbprint in base64url")
    return base64.urlsafe_b64decode(thumbprint + "=")


def _scopes(claims: _Claims) -> frozenset[str]:
    granted = claims.scope if claims.scope is not None else claims.scp
    if isinstance(granted, str):
        granted = granted.split(" ")
    return frozenset(granted or ()) - {""}
