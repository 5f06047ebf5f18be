"""What an earlier verification found sound, kept in a file, so that the next goes on from there.

The file is its holder's word for everything up to the block it names; keep it where nobody else
writes. It is written whole or not at all.
"""

import os
import tempfile
from collections import defaultdict
from pathlib import Path

import msgspec

from hpts.store.verify_audit import NO_AUDIT_HEAD, AuditHead
from hpts.store.verify_entries import Tally


class VerifiedTenant(msgspec.Struct, frozen=True):
    """A tenant up to a block: its hash in hexadecimal, and what the lines add up to by account,
    currency, layer, day from 2000-01-01 and direction."""

    block_number: int
    block_hash: str
    sums: list[tuple[int, str, str, int, str, int]]
    audit_number: int = 0
    audit_hash: str = ""

    def tally(self) -> Tally:
        """The sums as the walk over entries continues them."""
        tally: Tally = defaultdict(int)
        for account_code, currency, layer, day, direction, amount in self.sums:
            tally[account_code, currency.encode(), layer.encode(), day, direction.encode()] = amount
        return tally

    def audit_head(self) -> AuditHead:
        """Where the audit events ended; nowhere in a file of before there were any."""
        return AuditHead(self.audit_number, bytes.fromhex(self.audit_hash))


class Progress(msgspec.Struct, frozen=True):
    """The file. `tenants` by UUID."""

    tenants: dict[str, VerifiedTenant] = {}


def verified_tenant(
    block_number: int, block_hash: bytes, tally: Tally, audit: AuditHead = NO_AUDIT_HEAD
) -> VerifiedTenant:
    """What is kept of a tenant that was found sound."""
    sums = [
        (account_code, currency.decode(), layer.decode(), day, direction.decode(), amount)
        for (account_code, currency, layer, day, direction), amount in sorted(tally.items())
    ]
    return VerifiedTenant(
        block_number, block_hash.hex(), sums, audit.event_number, audit.event_hash.hex()
    )


def load_progress(path: Path) -> Progress:
    """The file's, or nothing where there is no file yet. Raises OSError, ValueError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Progress)
    except FileNotFoundError:
        return Progress()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a file of `hpts verify --since` ({error}); name a new file to verify "
            "from the beginning"
        ) from None


def save_progress(path: Path, progress: Progress) -> None:
    """Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(progress))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
