"""The Ed25519 key that signs checkpoints, and the signed notes it makes (docs/PROOFS.md).

Sources: C2SP signed-note and tlog-checkpoint; any verifier of those formats reads ours.
"""

import base64
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_NAME = "hpts"
SIGNATURE_TYPE = b"\x01"
"""Ed25519 in a signed note's key id."""


class CheckpointKey:
    """A private key. Read it with `load`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        public = key.public_key()
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.fingerprint = sha256(raw).hexdigest()
        self._key_id = sha256(KEY_NAME.encode() + b"\n" + SIGNATURE_TYPE + raw).digest()[:4]
        self.public_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    @classmethod
    def load(cls, path: Path) -> "CheckpointKey":
        """The key in a PEM file. Raises OSError, or ValueError that says what to do."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} holds no unencrypted private key in PEM: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(
                f"{path} holds another kind of key; make one with "
                f"`openssl genpkey -algorithm ed25519 -out {path}`"
            )
        return cls(key)

    def sign(self, tenant: str, block_number: int, root: bytes) -> str:
        """The signed note that a tenant's tree over `block_number` blocks has this root."""
        text = f"hpts/{tenant}\n{block_number}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self._key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {KEY_NAME} {signature}\n"


def new_key_pem() -> bytes:
    """A new private key, PKCS 8 in PEM."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
