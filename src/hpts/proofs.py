"""Verifies proofs of HPTS, and trusts nobody but the holder of the checkpoint's key.

This file stands alone: it imports nothing of the package and needs Python and `cryptography` only,
so that an auditor can read it whole, copy it and run it elsewhere. docs/PROOFS.md says which bytes
are hashed. Exit status: 0 proven, 1 not proven, 2 a file or argument cannot be used.
"""

import argparse
import base64
import binascii
import datetime
import json
import re
import struct
import sys
import uuid
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_NAME = "hpts"
FILE_BYTES_MAX = 64 * 1024 * 1024
LINE = struct.Struct(">hhcc3sq16s")
DIRECTIONS = {b"D": "DR", b"C": "CR"}
LAYERS = {b"S": "SETTLED", b"P": "PENDING", b"E": "ENCUMBRANCE"}
EPOCH = datetime.datetime(2000, 1, 1)
BLOCK_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
HASH = re.compile(r"[0-9a-f]{64}")
IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotProven(Exception):
    """A check failed; the message says which."""


class Unusable(Exception):
    """A file cannot be read as what it should be."""


class Checkpoint(NamedTuple):
    """What a valid signature says."""

    tenant_id: str
    block_number: int
    root_hash: bytes


def verify_entry(entry: Any, proof: Any, checkpoint: Any, key: Ed25519PublicKey) -> Checkpoint:
    """That the entry, as the API answers it, stands in the ledger of the checkpoint.

    Arguments are decoded JSON. Raises NotProven, Unusable.
    """
    signed = read_checkpoint(checkpoint, key)
    form = _base64(_get(proof, "canonical_entry", str), "canonical_entry")
    said = decode_entry(form)
    _compare_entry(_object(entry, "the entry"), said, signed.tenant_id)
    if _get(proof, "journal_entry_id", str) != said["journal_entry_id"]:
        raise NotProven("the proof's journal_entry_id is not that of its canonical_entry")
    block = _get(proof, "block", dict)
    first = _identifier(block, "first_entry_id")
    index, count = _get(proof, "entry_index", int), _get(block, "entry_count", int)
    if int.from_bytes(first, "big") + index != uuid.UUID(said["journal_entry_id"]).int:
        raise NotProven("the entry's identifier is not the one at its place in the block")
    entries_root = _hash(block, "entries_root")
    path = _path(proof, "entry_path")
    if root_of_inclusion(sha256(form).digest(), index, count, path) != entries_root:
        raise NotProven("the entry's hash does not lead to its block's entries_root")
    number = _get(block, "block_number", int)
    try:
        numbers = struct.pack(">q", number) + first + struct.pack(">i", count)
    except struct.error:
        raise NotProven("the block's numbers are out of range") from None
    block_hash = sha256(_hash(block, "previous_hash") + numbers + entries_root).digest()
    if number > signed.block_number:
        raise NotProven(
            f"the entry stands in block {number}, after the checkpoint's {signed.block_number}"
        )
    path = _path(proof, "block_path")
    found = root_of_inclusion(block_hash, number - 1, signed.block_number, path)
    if found != signed.root_hash:
        raise NotProven(
            "the block's hash does not lead to the checkpoint's root; was the proof asked for with "
            f"?block_number={signed.block_number}?"
        )
    beside = _get(proof, "checkpoint", dict)
    text, _, _ = _get(beside, "note", str).partition("\n\n")  # signed by a newer key, perhaps
    same = _json({**beside, "note": text}) == _json({**checkpoint, "note": text})
    if not same or not checkpoint["note"].startswith(f"{text}\n\n"):
        raise NotProven("the proof's own checkpoint says something else")
    return signed


def verify_consistency(old: Any, new: Any, proof: Any, key: Ed25519PublicKey) -> Checkpoint:
    """That the newer checkpoint's history begins with all of the older one's, as verify_entry."""
    older, newer = read_checkpoint(old, key), read_checkpoint(new, key)
    if older.tenant_id != newer.tenant_id:
        raise NotProven("the checkpoints are of two tenants")
    if older.block_number > newer.block_number:
        raise NotProven("the first checkpoint is the newer one; give the older one first")
    path = _path(_object(proof, "the proof"), "path")
    old_number, new_number = (_get(proof, f"{age}block_number", int) for age in ("old_", ""))
    said = (proof.get("tenant_id"), old_number, new_number)
    if said != (newer.tenant_id, older.block_number, newer.block_number):
        raise NotProven("the proof is between other checkpoints")
    roots = roots_of_consistency(older.block_number, newer.block_number, older.root_hash, path)
    if roots != (older.root_hash, newer.root_hash):
        raise NotProven("the path does not lead from the older root to the newer one")
    return newer


def read_checkpoint(checkpoint: Any, key: Ed25519PublicKey) -> Checkpoint:
    """What a checkpoint's note says, if its signature is the key's (C2SP signed-note).

    Raises NotProven, Unusable.
    """
    shown = _object(checkpoint, "the checkpoint")
    text, _, signatures = _get(shown, "note", str).partition("\n\n")
    text += "\n"
    *lines, rest = signatures.split("\n")
    if rest or not all(line.startswith("\N{EM DASH} ") for line in lines):
        raise NotProven("the checkpoint's note is not a signed note")
    if not any(_is_signed(text, line, key) for line in lines):
        raise NotProven("the checkpoint is not signed by the key")
    origin, number, root, *others = text.split("\n")
    tenant_id = origin.removeprefix("hpts/")
    if origin != f"hpts/{tenant_id}" or others != [""] or not BLOCK_NUMBER.fullmatch(number):
        raise NotProven("the signed note is not a checkpoint of HPTS")
    signed = Checkpoint(tenant_id, int(number), _base64(root, "the note's root"))
    beside = (shown.get("tenant_id"), _get(shown, "block_number", int), shown.get("root_hash"))
    if beside != (signed.tenant_id, signed.block_number, signed.root_hash.hex()):
        raise NotProven("the checkpoint's fields are not what its note says")
    return signed


def _is_signed(text: str, line: str, key: Ed25519PublicKey) -> bool:
    prefix = f"\N{EM DASH} {KEY_NAME} "
    if not line.startswith(prefix):
        return False
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key_id = sha256(KEY_NAME.encode() + b"\n\x01" + raw).digest()[:4]
    try:
        signature = base64.b64decode(line.removeprefix(prefix), validate=True)
        key.verify(signature[4:], text.encode())
    except (binascii.Error, InvalidSignature, ValueError):
        return False
    return signature[:4] == key_id


def root_of_inclusion(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to from a leaf. Source: RFC 9162, section 2.1.3.2.

    Raises NotProven for a path of the wrong length.
    """
    if not 0 <= index < size:
        raise NotProven("a leaf stands outside its tree")
    at, last, root = index, size - 1, sha256(b"\x00" + leaf).digest()
    for sibling in path:
        if last == 0:
            raise NotProven("a path is too long for its tree")
        if at % 2 or at == last:
            root = _node(sibling, root)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            root = _node(root, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise NotProven("a path is too short for its tree")
    return root


def roots_of_consistency(
    old_size: int, size: int, old_root: bytes, path: list[bytes]
) -> tuple[bytes, bytes]:
    """The two roots that a consistency path leads to. Source: RFC 9162, section 2.1.4.2.

    Raises NotProven for a path of the wrong length.
    """
    if not 1 <= old_size <= size:
        raise NotProven("an empty tree has no checkpoint")
    if old_size == size:
        if path:
            raise NotProven("a path between equal checkpoints is empty")
        return old_root, old_root
    hashes = list(path)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise NotProven("the path is empty")
    at, last = old_size - 1, size - 1
    while at % 2:
        at, last = at >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise NotProven("the path is too long")
        if at % 2 or at == last:
            old, new = _node(sibling, old), _node(sibling, new)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            new = _node(new, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise NotProven("the path is too short")
    return old, new


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def decode_entry(form: bytes) -> dict[str, Any]:
    """What a canonical entry says, under the names of the API. Raises NotProven."""
    try:
        return _decode_entry(form)
    except (struct.error, ValueError, OverflowError, KeyError, RecursionError) as error:
        raise NotProven(f"canonical_entry is not the form of an entry: {error}") from None


def _decode_entry(form: bytes) -> dict[str, Any]:
    tenant_id, day, posted_at = struct.unpack_from(">16siq", form)
    at = 28
    fields: list[bytes | None] = []
    for _ in range(10):
        (length,) = struct.unpack_from(">i", form, at)
        at += 4
        fields.append(None if length < 0 else form[at : at + length])
        if length > len(form) - at:
            raise ValueError("a field is cut off")
        at += max(length, 0)
    entry_id, event_type, correlation_id, reverses, _, actor, _, _, details, _ = fields
    if (len(form) - at) % LINE.size:
        raise ValueError("a line is cut off")
    kept = json.loads(details or b"")
    if entry_id is None or not isinstance(kept, dict):
        raise ValueError("its identifier is missing or its details are no object")
    instant = EPOCH + datetime.timedelta(microseconds=posted_at)
    said = {
        "tenant_id": str(uuid.UUID(bytes=tenant_id)),
        "journal_entry_id": _uuid(entry_id),
        "event_type": (event_type or b"").decode(),
        "effective_at": (EPOCH + datetime.timedelta(days=day)).date().isoformat(),
        "posted_at": f"{instant.isoformat('T', 'microseconds')}Z",
        "correlation_id": _uuid(correlation_id),
        "reverses_entry_id": _uuid(reverses),
        "description": kept.get("description"),
        "actor": (actor or b"").decode(),
        "lines": [_decode_line(line, kept) for line in LINE.iter_unpack(form[at:])],
    }
    return {name: value for name, value in said.items() if value is not None}


def _decode_line(line: tuple[Any, ...], details: dict[str, Any]) -> dict[str, Any]:
    sequence, account_code, direction, layer, currency, amount_minor, loan_id = line
    said = {
        "sequence": sequence,
        "account_code": f"{account_code:04d}",
        "direction": DIRECTIONS[direction],
        "amount_minor": str(amount_minor),
        "currency": currency.decode("ascii"),
        "layer": LAYERS[layer],
        "loan_id": str(uuid.UUID(bytes=loan_id)) if any(loan_id) else None,
        "external_ref": details.get("external_ref"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _uuid(field: bytes | None) -> str | None:
    return None if field is None else str(uuid.UUID(bytes=field))


def _compare_entry(entry: dict[str, Any], said: dict[str, Any], tenant_id: str) -> None:
    if said.pop("tenant_id") != tenant_id:
        raise NotProven("the proof is of another tenant's entry")
    # Whose loan it is, is answered from the loan, not from the entry, so no hash of it covers it.
    lines = [
        {name: value for name, value in _object(line, "a line").items() if name != "borrower_id"}
        for line in _get(entry, "lines", list)
    ]
    shown = {**entry, "lines": lines}
    for name in sorted({*shown, *said}):
        if _json(shown.get(name)) != _json(said.get(name)):
            raise NotProven(f"the entry's {name} is not what was hashed when it was posted")


def _json(value: Any) -> str:
    """For comparing: Python takes true for 1 and 1.0 for 1."""
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError:
        raise Unusable("the entry is nested too deeply") from None


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unusable(f"{what} is not a JSON object")
    return value


def _get(value: Any, name: str, kind: type) -> Any:
    found = _object(value, "the file").get(name)
    if not isinstance(found, kind) or isinstance(found, bool):
        raise Unusable(f"{name} is missing or is not of its type")
    return found


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unusable(f"{what} is not base64") from None


def _hash(value: Any, name: str) -> bytes:
    return _hex(_get(value, name, str), name)


def _path(value: Any, name: str) -> list[bytes]:
    return [_hex(one, name) for one in _get(value, name, list)]


def _hex(text: Any, name: str) -> bytes:
    if not isinstance(text, str) or not HASH.fullmatch(text):
        raise Unusable(f"{name} is not a SHA-256 in lower-case hexadecimal")
    return bytes.fromhex(text)


def _identifier(value: Any, name: str) -> bytes:
    text = _get(value, name, str)
    if not IDENTIFIER.fullmatch(text):
        raise Unusable(f"{name} is not a UUID in lower case")
    return uuid.UUID(text).bytes


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise Unusable(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Unusable(f"{path}: {error}") from None


def _read_key(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise Unusable(f"{path} holds no Ed25519 public key")
    return key


def _run(chosen: argparse.Namespace) -> str:
    key = _read_key(chosen.key)
    first, second, third = (_read_json(path) for path in chosen.files)
    if chosen.command == "verify":
        signed = verify_entry(first, second, third, key)
        what = f"the entry is in the ledger of tenant {signed.tenant_id}"
        return f"proven: {what}, checkpoint {signed.block_number}"
    newer = verify_consistency(first, second, third, key)
    return f"proven: the ledger of tenant {newer.tenant_id} only grew, up to {newer.block_number}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hpts.proofs", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, files, what in (
        ("verify", "ENTRY PROOF CHECKPOINT", "an entry is in the ledger of a checkpoint"),
        ("consistency", "OLD NEW PROOF", "a checkpoint's history begins with an older one's"),
    ):
        command = commands.add_parser(name, help=f"Verify that {what}.")
        command.add_argument(
            "files", nargs=3, type=Path, metavar=tuple(files.split()), help="JSON of the API"
        )
        command.add_argument("--key", required=True, type=Path, help="public key, PEM")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m hpts.proofs`."""
    try:
        print(_run(_parser().parse_args(arguments)))
    except NotProven as error:
        print(f"NOT PROVEN: {error}", file=sys.stderr)
        return 1
    except Unusable as error:
        print(f"unusable: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
