"""Webhook secrets at rest: sealed with AES-256-GCM under a key from a file (HPTS_WEBHOOK_KEY).

What was sealed for one tenant opens for no other. Without the key a copy of the database signs
nothing.
"""

import base64
import binascii
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES, NONCE_BYTES = 32, 12
FINGERPRINT_OF = b"hpts webhook key"


class WebhookKey:
    """The key. Read it with `load`. `fingerprint` tells keys apart and nothing of them."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.fingerprint = hmac.digest(key, FINGERPRINT_OF, "sha256").hex()

    @classmethod
    def load(cls, path: Path) -> "WebhookKey":
        """The key in a file of base64. Raises OSError, or ValueError that says what to do."""
        try:
            key = base64.b64decode(path.read_bytes().strip(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"{path} must hold {KEY_BYTES} random bytes in base64; "
                f"make it with `openssl rand -base64 {KEY_BYTES} > {path}`"
            )
        return cls(key)

    def seal(self, tenant_id: bytes, text: bytes) -> bytes:
        """What to keep of a text."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text, tenant_id)

    def open(self, tenant_id: bytes, sealed: bytes) -> bytes:
        """The text again. Raises ValueError where it was sealed under another key or for another
        tenant."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], tenant_id)
        except InvalidTag:
            message = "sealed under another key than HPTS_WEBHOOK_KEY, or for another tenant"
            raise ValueError(message) from None


def new_key_text() -> bytes:
    """A new key as its file holds it."""
    return base64.b64encode(os.urandom(KEY_BYTES)) + b"\n"
