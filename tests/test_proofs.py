"""The verifier that stands alone: it proves the committed vectors, and nothing that was bent."""

import ast
import base64
import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hpts import proofs

VECTORS = Path(__file__).parent / "vectors"
EVENTS = ("disbursement", "accrual", "payment_received", "reversal")
SIGNED_AGAIN = ("proof", ("checkpoint", "note"))
"""A proof repeats the checkpoint it leads to, perhaps signed by a newer key."""


def read(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_bytes())


@pytest.fixture(scope="module")
def key() -> Ed25519PublicKey:
    key = serialization.load_pem_public_key((VECTORS / "key.pem").read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    return key


def test_it_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    tree = ast.parse(Path(proofs.__file__).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(str(node.module).partition(".")[0])
    assert found - set(sys.stdlib_module_names) == {"cryptography"}


def test_its_file_runs_by_itself(tmp_path: Path) -> None:
    (tmp_path / "proofs.py").write_text(Path(proofs.__file__).read_text())
    files = [str(VECTORS / f"{name}.json") for name in ("accrual", "accrual-proof", "checkpoint-7")]
    done = subprocess.run(
        [sys.executable, "-I", "proofs.py", "verify", *files, "--key", str(VECTORS / "key.pem")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("proven: ")


@pytest.mark.parametrize("event_type", EVENTS)
def test_the_vectors_are_proven(event_type: str, key: Ed25519PublicKey) -> None:
    entry = read(event_type)
    assert entry["event_type"] == event_type
    signed = proofs.verify_entry(entry, read(f"{event_type}-proof"), read("checkpoint-7"), key)
    assert signed.block_number == 7


@pytest.mark.parametrize(("old", "new"), [(1, 4), (4, 7), (1, 7)])
def test_the_vectors_are_consistent(old: int, new: int, key: Ed25519PublicKey) -> None:
    files = (read(f"checkpoint-{old}"), read(f"checkpoint-{new}"), read(f"consistency-{old}-{new}"))
    assert proofs.verify_consistency(*files, key).block_number == new


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a JSON value's leaves."""
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else None
    )
    if children is None:
        yield path
    else:
        for name, child in children:
            yield from leaves(child, (*path, name))


def bent(value: Any, path: tuple[Any, ...]) -> Iterator[Any]:
    """The value with another leaf, of the same type, empty, of another type, and without it."""
    *above, last = path
    found = value
    for name in path:
        found = found[name]
    if isinstance(found, int):
        others: list[Any] = [found + 1, -1, 0 if found else 10**30, str(found), None, True]
    else:
        middle = len(found) // 2
        other = "1" if found[middle : middle + 1] != "1" else "2"
        others = [found[:middle] + other + found[middle + 1 :], "", found + "0", 7, None, [found]]
    for one in others:
        yield place(value, above, last, one)
    gone = copy.deepcopy(value)
    parent = gone
    for name in above:
        parent = parent[name]
    del parent[last]
    yield gone


def place(value: Any, above: list[Any], last: Any, leaf: Any) -> Any:
    made = copy.deepcopy(value)
    parent = made
    for name in above:
        parent = parent[name]
    parent[last] = leaf
    return made


@pytest.mark.parametrize("event_type", EVENTS)
def test_no_leaf_of_any_file_can_be_bent(event_type: str, key: Ed25519PublicKey) -> None:
    files = {
        "entry": read(event_type),
        "proof": read(f"{event_type}-proof"),
        "checkpoint": read("checkpoint-7"),
    }
    count = 0
    for name, content in files.items():
        for path in leaves(content):
            if (name, path) == SIGNED_AGAIN:
                continue
            if "borrower_id" in path:
                continue  # the loan's, which no hash of the entry covers, as docs/PROOFS.md says
            for other in bent(content, path):
                try:
                    proofs.verify_entry(*(files | {name: other}).values(), key)
                except (proofs.NotProven, proofs.Unusable):
                    count += 1
                else:
                    pytest.fail(f"{name} {path} may be bent: {other}")
    assert count > 100


def test_a_proof_may_repeat_its_checkpoint_signed_by_another_key_and_not_another_text(
    key: Ed25519PublicKey,
) -> None:
    entry, proof, checkpoint = (
        read(name) for name in ("payment_received", "payment_received-proof", "checkpoint-7")
    )
    note = proof["checkpoint"]["note"]
    text, _, signature = note.partition("\n\n")
    again = place(proof, ["checkpoint"], "note", f"{text}\n\n{signature[::-1]}")
    assert proofs.verify_entry(entry, again, checkpoint, key).block_number == 7
    other = place(proof, ["checkpoint"], "note", note.replace("\n7\n", "\n8\n"))
    with pytest.raises(proofs.NotProven, match="own checkpoint says something else"):
        proofs.verify_entry(entry, other, checkpoint, key)


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda text: text + "\n", lambda text: " " + text, lambda text: text + "\0"],
    ids=["upper case", "line end", "space", "NUL"],
)
def test_a_hash_or_identifier_is_written_in_one_way_only(
    change: Callable[[str], str], key: Ed25519PublicKey
) -> None:
    entry, proof, checkpoint = (
        read(name) for name in ("payment_received", "payment_received-proof", "checkpoint-7")
    )
    for path in leaves(proof):
        *above, last = path
        found = proof
        for name in path:
            found = found[name]
        if not isinstance(found, str) or "note" in path or change(found) == found:
            continue
        other = place(proof, above, last, change(found))
        with pytest.raises((proofs.NotProven, proofs.Unusable)):
            proofs.verify_entry(entry, other, checkpoint, key)


def test_no_leaf_of_a_consistency_proof_can_be_bent(key: Ed25519PublicKey) -> None:
    files = {name: read(name) for name in ("checkpoint-4", "checkpoint-7", "consistency-4-7")}
    for name, content in files.items():
        for path in leaves(content):
            for other in bent(content, path):
                try:
                    proofs.verify_consistency(*(files | {name: other}).values(), key)
                except (proofs.NotProven, proofs.Unusable):
                    continue
                pytest.fail(f"{name} {path} may be bent: {other}")


def test_another_key_proves_nothing() -> None:
    other = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(proofs.NotProven, match="not signed by the key"):
        proofs.read_checkpoint(read("checkpoint-7"), other)


def signed_by(key: Ed25519PrivateKey, number: str) -> Any:
    """A checkpoint whose note names its block by any text, signed as HPTS signs."""
    raw = key.public_key().public_bytes_raw()
    text = f"hpts/tenant\n{number}\n{base64.b64encode(bytes(32)).decode()}\n"
    key_id = sha256(proofs.KEY_NAME.encode() + b"\n\x01" + raw).digest()[:4]
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    note = f"{text}\n\N{EM DASH} {proofs.KEY_NAME} {signature}\n"
    return {"tenant_id": "tenant", "block_number": 7, "root_hash": "00" * 32, "note": note}


@pytest.mark.parametrize(
    "number",
    ["0", "-7", "07", "+7", "7 ", "\N{ARABIC-INDIC DIGIT SEVEN}", "7" * 19, "7" * 5_000],
    ids=ascii,
)
def test_a_signer_cannot_name_a_block_by_anything_but_its_number(number: str) -> None:
    key = Ed25519PrivateKey.generate()
    assert proofs.read_checkpoint(signed_by(key, "7"), key.public_key()).block_number == 7
    with pytest.raises(proofs.NotProven, match="not a checkpoint of HPTS"):
        proofs.read_checkpoint(signed_by(key, number), key.public_key())


def with_details(proof: Any, details: bytes) -> Any:
    """The proof with other details in its canonical form, the ninth field of any length."""
    form = base64.b64decode(proof["canonical_entry"])
    at = 28
    for _ in range(8):
        at += 4 + max(int.from_bytes(form[at : at + 4], "big", signed=True), 0)
    size = int.from_bytes(form[at : at + 4], "big")
    other = form[:at] + len(details).to_bytes(4, "big") + details + form[at + 4 + size :]
    return proof | {"canonical_entry": base64.b64encode(other).decode()}


@pytest.mark.parametrize("details", [b"[]", b"7", b'"x"', b"null", b"[" * 100_000], ids=len)
def test_details_that_are_no_object_are_not_the_form_of_an_entry(
    details: bytes, key: Ed25519PublicKey
) -> None:
    proof = with_details(read("accrual-proof"), details)
    with pytest.raises(proofs.NotProven, match="not the form of an entry"):
        proofs.verify_entry(read("accrual"), proof, read("checkpoint-7"), key)


def test_an_entry_without_an_identifier_is_not_the_form_of_one(key: Ed25519PublicKey) -> None:
    """Absent in the form and in the entry that is shown, so that they do not differ."""
    entry, proof = read("accrual"), read("accrual-proof")
    del entry["journal_entry_id"]
    form = base64.b64decode(proof["canonical_entry"])
    form = form[:28] + b"\xff" * 4 + form[28 + 4 + 16 :]
    proof["canonical_entry"] = base64.b64encode(form).decode()
    with pytest.raises(proofs.NotProven, match="not the form of an entry"):
        proofs.verify_entry(entry, proof, read("checkpoint-7"), key)


def test_an_entry_nested_beyond_all_bounds_is_unusable(key: Ed25519PublicKey) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    entry = read("accrual") | {"actor": deep}
    with pytest.raises(proofs.Unusable, match="nested too deeply"):
        proofs.verify_entry(entry, read("accrual-proof"), read("checkpoint-7"), key)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.json"] * 3 + ["--key", "key.pem"], "missing.json"),
        (["key.pem"] * 3 + ["--key", "key.pem"], "key.pem"),
        (["accrual.json"] * 3 + ["--key", "accrual.json"], "accrual.json"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(VECTORS)
    assert proofs.main(["verify", *arguments]) == 2
    assert message in capsys.readouterr().err
