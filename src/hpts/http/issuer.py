"""The development issuer: signs tokens for `hpts dev`, `hpts token` and the demo's token endpoint.

It never verifies a token, and a server trusts it only when its issuer and key set are configured
like those of any other. One directory holds its key, key set, one demo client and the key of
checkpoints; several processes may open it at once and all see the same files, each written whole or
not at all.
"""

import base64
import binascii
import contextlib
import fcntl
import hmac
import os
import secrets
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_plus

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from hpts.http.checkpoint_key import new_key_pem
from hpts.http.webhook_secrets import new_key_text

DEVELOPMENT_ISSUER = "http://localhost/hpts-development"
"""A name, not an address: tokens outlive a change of port."""
ALGORITHM = "RS256"
EXPIRES_IN_DEFAULT = 3600
FORM_BYTES_MAX = 8_192
FORM_FIELDS_MAX = 16
BASIC_CHALLENGE = 'Basic realm="hpts-development", charset="UTF-8"'
"""WWW-Authenticate of the token endpoint's 401."""
ALL_SCOPES = (
    "hpts:payments:write",
    "hpts:disbursements:write",
    "hpts:accruals:write",
    "hpts:reversals:write",
    "hpts:ledger:read",
    "hpts:balances:read",
    "hpts:loans:read",
    "hpts:reconciliation:read",
    "hpts:admin:*",
)

_KEY_FILE, _JWKS_FILE, _CLIENT_FILE, _LOCK_FILE = "key.pem", "jwks.json", "client.json", "lock"
_CHECKPOINT_KEY_FILE = "checkpoint-key.pem"
_WEBHOOK_KEY_FILE = "webhook.key"
_Headers = Iterable[tuple[bytes, bytes]]


class DemoClient(msgspec.Struct, frozen=True):
    """client.json. `tenant_id` is None until the demo tenant exists."""

    client_id: str
    client_secret: str
    tenant_id: str | None = None


class _Credentials(NamedTuple):
    client_id: str
    client_secret: str


class _OAuthError(Exception):
    """An error answer of RFC 6749, 5.2."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code)
        self.code = code
        self.description = description


class DevelopmentIssuer:
    """Signs with the key in one directory. Make it with `open`."""

    issuer: str = DEVELOPMENT_ISSUER

    def __init__(self, directory: Path, key: rsa.RSAPrivateKey, client: DemoClient) -> None:
        self.jwks_path = directory / _JWKS_FILE
        self.jwks = _key_set(key)
        self.client_id = client.client_id
        self.client_secret = client.client_secret
        self._directory = directory
        self._key = key
        self.kid = _thumbprint(key)

    @classmethod
    def open(cls, directory: Path) -> "DevelopmentIssuer":
        """The issuer of `directory`, made on first use. Raises OSError or ValueError."""
        directory = directory.resolve()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = cls._read(directory)
        if found is not None:
            return found
        with _locked(directory):
            key = _open_key(directory / _KEY_FILE)
            _write_whole(directory / _JWKS_FILE, _key_set(key), mode=0o644)
            if not (directory / _CLIENT_FILE).exists():
                client = DemoClient("hpts-demo", secrets.token_urlsafe(24))
                _write_client(directory, client)
            return cls(directory, key, _read_client(directory))

    @classmethod
    def _read(cls, directory: Path) -> "DevelopmentIssuer | None":
        # Without the lock: the usual case, and the only one that works on a read-only directory.
        try:
            key = _load_key(directory / _KEY_FILE)
            found = cls(directory, key, _read_client(directory))
            return found if found.jwks_path.read_bytes() == found.jwks else None
        except FileNotFoundError:
            return None

    @property
    def tenant_id(self) -> str | None:
        """The demo client's tenant, read afresh: another process may have set it since."""
        return _read_client(self._directory).tenant_id

    def set_client(self, tenant_id: str) -> None:
        """Give the demo client its tenant (UUID text), for every process."""
        tenant_id = str(uuid.UUID(tenant_id))
        with _locked(self._directory):
            _write_client(self._directory, self._client(tenant_id))

    def checkpoint_key(self) -> Path:
        """The file with the key that signs checkpoints, made on first use."""
        path = self._directory / _CHECKPOINT_KEY_FILE
        with _locked(self._directory):
            if not path.exists():
                _write_whole(path, new_key_pem(), mode=0o600)
        return path

    def webhook_key(self) -> Path:
        """The file with the key that seals the secrets of webhooks, made on first use."""
        path = self._directory / _WEBHOOK_KEY_FILE
        with _locked(self._directory):
            if not path.exists():
                _write_whole(path, new_key_text(), mode=0o600)
        return path

    def token(
        self,
        *,
        tenant_id: str,
        scopes: str,
        subject: str,
        audience: str,
        expires_in: int = EXPIRES_IN_DEFAULT,
    ) -> str:
        """A signed access token. `scopes` is space-separated; `expires_in` is in seconds."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": audience,
            "sub": subject,
            "tenant_id": tenant_id,
            "scope": scopes,
            "iat": now,
            "exp": now + expires_in,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self.kid})

    def client_credentials(
        self, form: bytes, headers: _Headers, *, audience: str
    ) -> tuple[int, bytes]:
        """Answer the token endpoint (RFC 6749, 4.4): (status, JSON) to a body and ASGI headers.

        The caller adds `Cache-Control: no-store`, and to a 401 the header `WWW-Authenticate:
        BASIC_CHALLENGE`; a 401 is always invalid_client.
        """
        try:
            return 200, self._grant(form, dict(headers), audience)
        except _OAuthError as error:
            body = {"error": error.code, "error_description": error.description}
            return 401 if error.code == "invalid_client" else 400, msgspec.json.encode(body)

    def _grant(self, form: bytes, headers: dict[bytes, bytes], audience: str) -> bytes:
        fields = _parse_form(form, headers.get(b"content-type", b""))
        self._authenticate(_credentials(fields, headers.get(b"authorization")))
        grant_type = fields.get("grant_type")
        if grant_type is None:
            raise _OAuthError("invalid_request", "grant_type is required")
        if grant_type != "client_credentials":
            raise _OAuthError("unsupported_grant_type", "use client_credentials")
        scopes = _requested_scopes(fields.get("scope"))
        tenant_id = self.tenant_id
        if tenant_id is None:
            raise _OAuthError("unauthorized_client", "the demo client has no tenant yet")
        token = self.token(
            tenant_id=tenant_id, scopes=scopes, subject=self.client_id, audience=audience
        )
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": EXPIRES_IN_DEFAULT,
            "scope": scopes,
        }
        return msgspec.json.encode(answer)

    def _authenticate(self, sent: _Credentials) -> None:
        # Both are compared whatever the first says, so that the time tells nothing of either.
        same_id = hmac.compare_digest(sent.client_id.encode(), self.client_id.encode())
        same_secret = hmac.compare_digest(sent.client_secret.encode(), self.client_secret.encode())
        if not (same_id and same_secret):
            raise _OAuthError("invalid_client", "unknown client or wrong secret")

    def _client(self, tenant_id: str) -> DemoClient:
        return DemoClient(self.client_id, self.client_secret, tenant_id)


def _parse_form(form: bytes, content_type: bytes) -> dict[str, str]:
    if content_type.partition(b";")[0].strip().lower() != b"application/x-www-form-urlencoded":
        raise _OAuthError("invalid_request", "send application/x-www-form-urlencoded")
    if len(form) > FORM_BYTES_MAX:
        raise _OAuthError("invalid_request", f"the form is over {FORM_BYTES_MAX} bytes")
    try:
        # Blank values count as absent (RFC 6749, 3.2), which is what parse_qsl does unasked.
        pairs = parse_qsl(form.decode("ascii"), errors="strict", max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        raise _OAuthError("invalid_request", "the form cannot be read") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _OAuthError("invalid_request", "a parameter is given more than once")
    return fields


def _credentials(fields: dict[str, str], authorization: bytes | None) -> _Credentials:
    if authorization is None:
        if "client_id" not in fields or "client_secret" not in fields:
            raise _OAuthError("invalid_client", "client_id and client_secret are required")
        return _Credentials(fields["client_id"], fields["client_secret"])
    if "client_secret" in fields:
        raise _OAuthError("invalid_request", "use one way of client authentication")
    credentials = _parse_basic(authorization)
    if fields.get("client_id", credentials.client_id) != credentials.client_id:
        raise _OAuthError("invalid_request", "client_id differs from the Authorization header")
    return credentials


def _parse_basic(authorization: bytes) -> _Credentials:
    scheme, _, encoded = authorization.partition(b" ")
    try:
        if scheme.lower() != b"basic":
            raise ValueError("not Basic")
        pair = base64.b64decode(encoded.strip(b" "), validate=True).decode("utf-8")
        client_id, colon, client_secret = pair.partition(":")
        if not colon:
            raise ValueError("no colon")
        # Both halves are form-encoded before they are joined (RFC 6749, 2.3.1).
        return _Credentials(
            unquote_plus(client_id, errors="strict"), unquote_plus(client_secret, errors="strict")
        )
    except (ValueError, binascii.Error):
        raise _OAuthError("invalid_client", "the Authorization header is not Basic") from None


def _requested_scopes(scope: str | None) -> str:
    requested = ALL_SCOPES if scope is None else tuple(dict.fromkeys(scope.split()))
    if not requested or not set(ALL_SCOPES).issuperset(requested):
        raise _OAuthError("invalid_scope", f"scopes are: {' '.join(ALL_SCOPES)}")
    return " ".join(requested)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / _LOCK_FILE).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_key(path: Path) -> rsa.RSAPrivateKey:
    if path.exists():
        return _load_key(path)
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    encoded = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write_whole(path, encoded, mode=0o600)
    return key


def _load_key(path: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} does not hold an RSA key; remove it to make a new one")
    return key


def _read_client(directory: Path) -> DemoClient:
    return msgspec.json.decode((directory / _CLIENT_FILE).read_bytes(), type=DemoClient)


def _write_client(directory: Path, client: DemoClient) -> None:
    _write_whole(directory / _CLIENT_FILE, msgspec.json.encode(client), mode=0o600)


def _write_whole(path: Path, content: bytes, *, mode: int) -> None:
    # mkstemp makes the file 0600, so a secret is never readable by others, not even at first.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _key_set(key: rsa.RSAPrivateKey) -> bytes:
    return msgspec.json.encode({"keys": [_jwk(key) | {"kid": _thumbprint(key)}]})


def _jwk(key: rsa.RSAPrivateKey) -> dict[str, str]:
    numbers = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": ALGORITHM,
        "n": str(numbers["n"]),
        "e": str(numbers["e"]),
    }


def _thumbprint(key: rsa.RSAPrivateKey) -> str:
    """The key's id, from the key itself (RFC 7638), so that it needs no file of its own."""
    jwk = _jwk(key)
    members = msgspec.json.encode({name: jwk[name] for name in ("e", "kty", "n")})
    return base64.urlsafe_b64encode(sha256(members).digest()).rstrip(b"=").decode()
