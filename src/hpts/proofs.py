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
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_NAME = "hpts"
FILE_BYTES_MAX = 64 * 1024 * 1024
LINE = struct.Struct(">hhcc3sq16s")
DIRECTIONS = {b"D": "DR", b"C": "CR"}
LAYERS = {b"S": "SETTLED", b"P": "PENDING", b"E": "ENCUMBRANCE"}
KINDS = {str: "a string", int: "an integer", list: "a list", dict: "an object"}
EPOCH = datetime.datetime(2000, 1, 1)
HASH = re.compile(r"[0-9a-f]{64}")
NOTE = re.compile(r"hpts/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\n([1-9][0-9]{0,17})\n(.+)\n")


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
    form = _base64(_get(proof, "proof.canonical_entry", str), "proof.canonical_entry")
    said = decode_entry(form)
    _compare_entry(entry, said, signed.tenant_id)
    if _get(proof, "proof.journal_entry_id", str) != said["journal_entry_id"]:
        raise NotProven("the proof's journal_entry_id is not that of its canonical_entry")
    block = _get(proof, "proof.block", dict)
    index, count = _get(proof, "proof.entry_index", int), _get(block, "block.entry_count", int)
    if not 0 <= index < count < 2**31:
        raise NotProven("the entry's place is not one in its block")
    first = uuid.UUID(int=(uuid.UUID(said["journal_entry_id"]).int - index) % 2**128)
    if _get(block, "block.first_entry_id", str) != str(first):
        raise NotProven("the entry's identifier is not the one at its place in the block")
    entries_root = _hex(block.get("entries_root"), "block.entries_root")
    path = _path(proof, "proof.entry_path")
    if root_of_inclusion(sha256(form).digest(), index, count, path) != entries_root:
        raise NotProven("the entry's hash does not lead to its block's entries_root")
    number = _get(block, "block.block_number", int)
    if not 1 <= number <= signed.block_number:
        raise NotProven(f"its block is not one of the checkpoint's {signed.block_number}")
    numbers = struct.pack(">q16si", number, first.bytes, count)
    previous = _hex(block.get("previous_hash"), "block.previous_hash")
    block_hash = sha256(previous + numbers + entries_root).digest()
    path = _path(proof, "proof.block_path")
    found = root_of_inclusion(block_hash, number - 1, signed.block_number, path)
    if found != signed.root_hash:
        asked = f"was the proof asked for with ?block_number={signed.block_number}?"
        raise NotProven(f"the block's hash does not lead to the checkpoint's root; {asked}")
    beside = _get(proof, "proof.checkpoint", dict)
    text, *_ = _get(beside, "checkpoint.note", str).split("\n\n")  # perhaps signed by a newer key
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
    path = _path(proof, "proof.path")
    old_number, new_number = (_get(proof, f"proof.{age}block_number", int) for age in ("old_", ""))
    said = (proof.get("tenant_id"), old_number, new_number)
    if said != (newer.tenant_id, older.block_number, newer.block_number):
        raise NotProven("the proof is between other checkpoints")
    roots = roots_of_consistency(older.block_number, newer.block_number, older.root_hash, path)
    if roots != (older.root_hash, newer.root_hash):
        raise NotProven("the path does not lead from the older root to the newer one")
    return newer


def read_checkpoint(checkpoint: Any, key: Ed25519PublicKey) -> Checkpoint:
    """What a signed note says, if a signature is the key's. Raises NotProven, Unusable."""
    shown = _object(checkpoint, "the checkpoint")
    text, _, signatures = _get(shown, "checkpoint.note", str).partition("\n\n")
    text += "\n"
    *lines, rest = signatures.split("\n")
    if rest or not all(line.startswith("\N{EM DASH} ") for line in lines):
        raise NotProven("the checkpoint's note is not a signed note")
    if not any(_is_signed(text, line, key) for line in lines):
        raise NotProven("the checkpoint is not signed by the key")
    found = NOTE.fullmatch(text)
    if found is None:
        raise NotProven("the signed note is not a checkpoint of HPTS")
    signed = Checkpoint(found[1], int(found[2]), _base64(found[3], "the note's root"))
    number = _get(shown, "checkpoint.block_number", int)
    beside = (shown.get("tenant_id"), number, shown.get("root_hash"))
    if beside != (signed.tenant_id, signed.block_number, signed.root_hash.hex()):
        raise NotProven("the checkpoint's fields are not what its note says")
    return signed


def _is_signed(text: str, line: str, key: Ed25519PublicKey) -> bool:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key_id = sha256(KEY_NAME.encode() + b"\n\x01" + raw).digest()[:4]
    try:
        own = line.removeprefix(f"\N{EM DASH} {KEY_NAME} ")  # what stays of others is not base64
        signature = base64.b64decode(own, validate=True)
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
    return _climb(index, size - 1, sha256(b"\x00" + leaf).digest(), path)[1]


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
    return _climb(at, last, hashes[0], hashes[1:])


def _climb(at: int, last: int, start: bytes, path: list[bytes]) -> tuple[bytes, bytes]:
    """The root of the tree that ends with a node of a level, and that of the whole tree."""
    old = new = start
    for sibling in path:
        if last == 0:
            raise NotProven("a path is too long for its tree")
        if at % 2 or at == last:
            old, new = _node(sibling, old), _node(sibling, new)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            new = _node(new, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise NotProven("a path is too short for its tree")
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
        fields.append(None if length == -1 else form[at : at + length])
        if not -1 <= length <= len(form) - at:
            raise ValueError("a field is cut off")
        at += max(length, 0)
    entry_id, event_type, correlation_id, reverses, _, actor, _, _, details, _ = fields
    if (len(form) - at) % LINE.size:
        raise ValueError("a line is cut off")
    kept = _decode_json(details or b"")
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
        "requested_effective_at": kept.get("requested_effective_at"),
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
        "borrower_id": details.get("borrower_id"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _uuid(field: bytes | None) -> str | None:
    return None if field is None else str(uuid.UUID(bytes=field))


def _compare_entry(entry: Any, said: dict[str, Any], tenant_id: str) -> None:
    if said.pop("tenant_id") != tenant_id:
        raise NotProven("the proof is of another tenant's entry")
    shown, hashed = _get(entry, "entry.lines", list), said["lines"]
    if len(shown) != len(hashed):
        raise NotProven(f"the entry shows {len(shown)} lines, and {len(hashed)} were hashed")
    for number, (line, other) in enumerate(zip(shown, hashed, strict=True), start=1):
        # Only a disbursement says whose loan it is; on other lines no hash of the entry covers it.
        kept = dict(_object(line, f"line {number}"))
        if "borrower_id" not in other:
            kept.pop("borrower_id", None)
        _compare(kept, other, f"line {number}")
    _compare(entry | {"lines": None}, said | {"lines": None}, "the entry")


def _compare(shown: dict[str, Any], said: dict[str, Any], whose: str) -> None:
    for name in sorted({*shown, *said}):
        same = _json(shown.get(name)) == _json(said.get(name))
        if not same or (name in shown) != (name in said):
            what = f"{whose}'s {ascii(name)[1:-1]:.60}"
            raise NotProven(f"{what} is not what was hashed when it was posted")


def _json(value: Any) -> str:
    """For comparing: Python takes true for 1 and 1.0 for 1."""
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError:
        raise Unusable("a file is nested too deeply") from None


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unusable(f"{what} is not a JSON object")
    return value


def _get(value: Any, path: str, kind: type) -> Any:
    """The member that a path such as proof.block ends in, of the object that it stands in."""
    above, _, name = path.rpartition(".")
    found = _object(value, f"the {above}").get(name)
    if not isinstance(found, kind) or isinstance(found, bool):
        raise Unusable(f"{path} is missing or is not {KINDS[kind]}")
    return found


def _base64(text: str, what: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if base64.b64encode(found).decode() != text:
        raise Unusable(f"{what} is not base64")
    return found


def _path(value: Any, name: str) -> list[bytes]:
    return [_hex(one, f"a hash of {name}") for one in _get(value, name, list)]


def _hex(text: Any, name: str) -> bytes:
    if not isinstance(text, str) or not HASH.fullmatch(text):
        raise Unusable(f"{name} is not a SHA-256 in lower-case hexadecimal")
    return bytes.fromhex(text)


def _decode_json(text: bytes) -> Any:
    """JSON that every reader reads alike: no member twice, no NaN. Raises ValueError."""
    return json.loads(text, object_pairs_hook=_members, parse_constant=_refuse_constant)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the member {name!a:.60} stands twice in an object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _read(path: Path, decode: Callable[[bytes], Any]) -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ValueError(f"it is larger than {FILE_BYTES_MAX} bytes")
        return decode(content)
    except (OSError, ValueError, RecursionError, UnsupportedAlgorithm) as error:
        raise Unusable(f"{path}: {error}") from None


def _run(chosen: argparse.Namespace) -> str:
    key = _read(chosen.key, serialization.load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise Unusable(f"{chosen.key} holds no Ed25519 public key")
    first, second, third = (_read(getattr(chosen, name), _decode_json) for name in chosen.files)
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
        command.set_defaults(files=files.split())
        for file in files.split():
            command.add_argument(file, type=Path, help="JSON of the API")
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
