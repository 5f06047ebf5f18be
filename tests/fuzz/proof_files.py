"""The verifier of proofs on changed vectors and on files that never were any.

It may prove only what means the same as a vector, read out of the files by other
code. It raises NotProven or Unusable and nothing else, and its exit status says which.
"""

import base64
import contextlib
import copy
import io
import json
import uuid
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hpts import proofs
from tests.fuzz.mutations import (
    STRANGE,
    arbitrary_bytes,
    as_members,
    as_value,
    emit,
    nested,
    spoil_bytes,
    spoil_json,
)
from tests.fuzz.target import Target

VECTORS = Path(__file__).parents[1] / "vectors"
EVENTS = ("disbursement", "accrual", "payment_received", "reversal")
SPANS = ((1, 4), (4, 7), (1, 7))
FIELDS_BEGIN, FIELDS, DETAILS = 28, 10, 8
"""Of the canonical form of an entry (docs/PROOFS.md)."""
BY_COMMAND = 0.1
"""How many inputs are files for the command, which costs more than the functions."""


class Files(NamedTuple):
    """What is verified: decoded JSON, or bytes of files where it is the command that verifies."""

    command: str
    original: tuple[str, str, str]
    given: tuple[Any, Any, Any]


def read(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_bytes())


def target(context: dict[str, Any]) -> Target:
    verifier = Verifier(Path(context["folder"]))
    return Target(
        verifier.draw,
        verifier.check,
        lambda data: Files("verify", ("accrual", "accrual-proof", "checkpoint-7"), (data,) * 3),
    )


class Verifier:
    """Draws and checks; `folder` takes the files of the command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        key = serialization.load_pem_public_key((VECTORS / "key.pem").read_bytes())
        assert isinstance(key, Ed25519PublicKey)
        self._key = key
        checkpoints = [f"checkpoint-{number}" for number in (1, 4, 7)]
        consistency = [f"consistency-{old}-{new}" for old, new in SPANS]
        entries = [*EVENTS, *(f"{event}-proof" for event in EVENTS)]
        self._vectors = {name: read(name) for name in (*entries, *checkpoints, *consistency)}

    def draw(self, random: Random) -> Files:
        if random.random() < 0.7:
            event = random.choice(EVENTS)
            command, names = "verify", (event, f"{event}-proof", "checkpoint-7")
        else:
            old, new = random.choice(SPANS)
            names = (f"checkpoint-{old}", f"checkpoint-{new}", f"consistency-{old}-{new}")
            command = "consistency"
        given = [copy.deepcopy(self._vectors[name]) for name in names]
        kind, at = random.randrange(12), random.randrange(3)
        if kind == 0:
            given[at] = copy.deepcopy(self._vectors[random.choice(tuple(self._vectors))])
        elif kind <= 2 and command == "verify":
            given[0], given[1] = self._forged(random, given[1])
        elif kind <= 4 and command == "verify":
            form = base64.b64decode(given[1]["canonical_entry"])
            form = random.choice((spoil_bytes, _with_other_field))(random, form)
            given[1]["canonical_entry"] = base64.b64encode(form).decode()
        elif kind == 5:
            given[at] = as_value(nested(random, given[at]))
        elif kind > 6:
            for one in {at, random.randrange(3)}:
                given[one] = as_value(spoil_json(random, as_members(given[one])))
        if random.random() < BY_COMMAND:
            given = [self._file_of(random, one) for one in given]
        return Files(command, names, (given[0], given[1], given[2]))

    @staticmethod
    def _file_of(random: Random, value: Any) -> bytes:
        match random.randrange(8):
            case 0:
                return arbitrary_bytes(random)
            case 1:
                return spoil_bytes(random, emit(random, as_members(value)))
            case _:
                return emit(random, as_members(value))

    def _forged(self, random: Random, proof: dict[str, Any]) -> tuple[Any, Any]:
        """A changed entry with a proof that is true up to its block: only the path from there to
        the signed root cannot be made."""
        form = bytearray(base64.b64decode(proof["canonical_entry"]))
        form[random.randrange(len(form))] ^= 1 << random.randrange(8)
        try:
            entry = proofs.decode_entry(bytes(form))
        except proofs.NotProven:
            entry = {"lines": []}
        entry.pop("tenant_id", None)
        identifier = entry.get("journal_entry_id", proof["journal_entry_id"])
        proof["block"] |= {"first_entry_id": identifier, "entry_count": 1}
        proof["block"]["entries_root"] = sha256(b"\x00" + sha256(form).digest()).hexdigest()
        proof |= {"journal_entry_id": identifier, "entry_index": 0, "entry_path": []}
        proof["canonical_entry"] = base64.b64encode(form).decode()
        return entry, proof

    def check(self, files: Files) -> str:
        if isinstance(files.given[0], bytes):
            return self._check_command(files)
        verify = proofs.verify_entry if files.command == "verify" else proofs.verify_consistency
        try:
            verify(*copy.deepcopy(files.given), self._key)
        except proofs.NotProven:
            return "not proven"
        except proofs.Unusable:
            return "unusable"
        self._compare(files, files.given)
        return "proven"

    def _check_command(self, files: Files) -> str:
        paths = [self._folder / name for name in ("first", "second", "third")]
        for path, data in zip(paths, files.given, strict=True):
            path.write_bytes(data)
        arguments = [files.command, *map(str, paths), "--key", str(VECTORS / "key.pem")]
        said, wrong = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
            status = proofs.main(arguments)
        begins = {0: "proven: ", 1: "NOT PROVEN: ", 2: "unusable: "}[status]
        assert (said if status == 0 else wrong).getvalue().startswith(begins)
        if status == 0:
            self._compare(files, tuple(json.loads(data) for data in files.given))
        return f"exit status {status}"

    def _compare(self, files: Files, given: tuple[Any, ...]) -> None:
        original = tuple(self._vectors[name] for name in files.original)
        signed = {_signed(self._vectors[f"checkpoint-{number}"]) for number in (1, 4, 7)}
        if files.command == "consistency":
            # Other checkpoints of the same key may well be consistent; forged ones are not there.
            assert {_signed(one) for one in given[:2]} <= signed, "a checkpoint that nobody signed"
            return
        assert _signed(given[2]) in signed, "a checkpoint that nobody signed"
        known = [
            (_entry(self._vectors[event]), _proof(self._vectors[f"{event}-proof"]))
            for event in EVENTS
        ]
        assert (_entry(given[0]), _proof(given[1])) in known, "a changed proof was taken"
        assert _signed(given[2]) == _signed(original[2])


def _with_other_field(random: Random, form: bytes) -> bytes:
    """The canonical form with another of its ten fields of any length: absent, JSON, or noise."""
    at, fields = FIELDS_BEGIN, []
    for _ in range(FIELDS):
        size = max(int.from_bytes(form[at : at + 4], "big", signed=True), -1)
        fields.append(form[at : at + 4 + max(size, 0)])
        at += len(fields[-1])
    value = emit(random, as_members(nested(random, random.choice(STRANGE))))
    other = random.choice((value, value, value, arbitrary_bytes(random), None))
    field = b"\xff" * 4 if other is None else len(other).to_bytes(4, "big") + other
    fields[random.choice((DETAILS, DETAILS, random.randrange(FIELDS)))] = field
    return form[:FIELDS_BEGIN] + b"".join(fields) + form[at:]


def _signed(checkpoint: Any) -> str:
    """What of a checkpoint is signed, held against the fields beside it."""
    text: str = checkpoint["note"].partition("\n\n")[0]
    origin, number, root = text.split("\n")
    assert checkpoint["tenant_id"] == origin.removeprefix("hpts/")
    assert checkpoint["block_number"] == int(number)
    assert checkpoint["root_hash"] == base64.b64decode(root).hex()
    return text


def _entry(entry: dict[str, Any]) -> str:
    """The entry without whose loans they are, which no hash covers. As JSON: true is not 1."""
    lines = [{k: v for k, v in line.items() if k != "borrower_id"} for line in entry["lines"]]
    return json.dumps(
        {k: v for k, v in entry.items() if v is not None} | {"lines": lines}, sort_keys=True
    )


def _proof(proof: dict[str, Any]) -> tuple[Any, ...]:
    """What of a proof is used. Hexadecimal, base64 and UUIDs may be written in several ways."""
    block = proof["block"]
    return (
        base64.b64decode(proof["canonical_entry"]),
        proof["journal_entry_id"],
        proof["entry_index"],
        [bytes.fromhex(one) for one in proof["entry_path"]],
        [bytes.fromhex(one) for one in proof["block_path"]],
        (block["block_number"], block["entry_count"], uuid.UUID(block["first_entry_id"])),
        bytes.fromhex(block["previous_hash"]),
        bytes.fromhex(block["entries_root"]),
    )
