"""The bearer token of a run: kept fresh where the caller can issue one, and whose tenant it names.

Nothing is verified here; that is the server's business. The claim only seeds ids and keys.
"""

import base64
import binascii
import time
from collections.abc import Callable

import msgspec

from hpts.demo.errors import DemoError

REFRESH_AFTER_SECONDS = 300


class _Claims(msgspec.Struct):
    tenant_id: str


class BearerToken:
    """A fixed token, or a callable asked again every REFRESH_AFTER_SECONDS."""

    def __init__(self, token: str | Callable[[], str]) -> None:
        self._issue = token if callable(token) else None
        self._token = token if isinstance(token, str) else token()
        self._issued_at = time.monotonic()

    def current(self) -> str:
        if self._issue and time.monotonic() - self._issued_at > REFRESH_AFTER_SECONDS:
            self._token = self._issue()
            self._issued_at = time.monotonic()
        return self._token

    def tenant_id(self) -> str:
        """The token's `tenant_id` claim. Raises DemoError where it has none."""
        try:
            payload = self._token.split(".")[1]
            decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
            return msgspec.json.decode(decoded, type=_Claims).tenant_id
        except (IndexError, binascii.Error, msgspec.DecodeError) as error:
            raise DemoError(f"the token is not a JWT with a tenant_id claim: {error}") from error
