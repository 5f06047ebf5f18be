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
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpts import proofs

VECTORS = Path(__file__).parent / "vectors"
EVENTS = ("disbursement", "accrual", "payment_received", "reversal")
TENANT = "39d1516d-cc03-4f62-8272-3e55794b43e0"
VERIFY = ["verify", "accrual.json", "accrual-proof.json", "checkpoint-7.json", "--key", "key.pem"]
UNKNOWN_CURVE = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAE84c3AxPTS75w2cnT7f3Gy0lttZ6T
TgaCkHMaXTd6ZDAZHamJsiUJtYyucu8qbr1VKlHMfNP0y9gZDlk9IS9f2Q==
-----END PUBLIC KEY-----
"""
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


def test_an_entry_moved_by_a_closed_period_is_proven_with_the_day_that_was_asked_for() -> None:
    """The fourth of forty in its block, by the key of another ledger."""
    key = serialization.load_pem_public_key((VECTORS / "moved-key.pem").read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    entry, proof, checkpoint = (read(f"moved{of}") for of in ("", "-proof", "-checkpoint"))
    assert entry["requested_effective_at"] < entry["effective_at"]
    assert (proof["entry_index"], proof["block"]["entry_count"]) == (3, 40)
    assert proofs.verify_entry(entry, proof, checkpoint, key).block_number == 69
    for day in (entry["effective_at"], None):
        with pytest.raises(proofs.NotProven, match="requested_effective_at is not what was hashed"):
            proofs.verify_entry(entry | {"requested_effective_at": day}, proof, checkpoint, key)
    del entry["requested_effective_at"]
    with pytest.raises(proofs.NotProven, match="requested_effective_at is not what was hashed"):
        proofs.verify_entry(entry, proof, checkpoint, key)


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
            if "borrower_id" in path and event_type != "disbursement":
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
    text = f"hpts/{TENANT}\n{number}\n{base64.b64encode(bytes(32)).decode()}\n"
    key_id = sha256(proofs.KEY_NAME.encode() + b"\n\x01" + raw).digest()[:4]
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    note = f"{text}\n\N{EM DASH} {proofs.KEY_NAME} {signature}\n"
    return {"tenant_id": TENANT, "block_number": 7, "root_hash": "00" * 32, "note": note}


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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"amount_minor"', '"amount_minor": "9", "amount_minor"', "'amount_minor' stands twice"),
        ('"sequence": 1', '"sequence": NaN', "NaN is not JSON"),
        ('"sequence": 1', '"sequence": -Infinity', "-Infinity is not JSON"),
        ('"lines": [', '"lines": 7, "x": [', "entry.lines is missing or is not a list"),
        ('"lines": [', '"lines": [[],', "the entry shows 4 lines, and 3 were hashed"),
        ('"amount_minor": "30"', '"amount_minor": "31"', "line 1's amount_minor is not what was"),
        ('"sequence": 2', '"sequence": 2.0', "line 2's sequence is not what was hashed"),
        ('"lines"', '"x": null, "lines"', "the entry's x is not what was hashed"),
        ('"lines"', r'"\u001b[2Kproven:": 1, "lines"', r"the entry's \x1b[2Kproven: is not"),
        ("}\n", "}\n{}", "Extra data"),
    ],
)
def test_a_file_is_said_to_be_wrong_by_what_is_wrong_in_it(
    old: str,
    new: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A member that stands twice would be read one way here, and another way elsewhere."""
    monkeypatch.chdir(VECTORS)
    text = (VECTORS / "accrual.json").read_text()
    entry = tmp_path / "entry.json"
    at = text.rindex(old) if old == "}\n" else text.index(old)
    entry.write_text(text[:at] + new + text[at + len(old) :])
    status = proofs.main([VERIFY[0], str(entry), *VERIFY[2:]])
    said = capsys.readouterr().err
    assert message in said
    assert (status, said.partition(":")[0]) in ((1, "NOT PROVEN"), (2, "unusable"))


@pytest.mark.parametrize("key", [X25519PrivateKey.generate().public_key(), "an unknown curve"])
def test_a_key_of_another_kind_is_unusable(
    key: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(VECTORS)
    file = tmp_path / "key.pem"
    pem, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(UNKNOWN_CURVE if isinstance(key, str) else key.public_bytes(pem, form))
    assert proofs.main([*VERIFY[:-1], str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"unusable: {file}")


def test_a_file_without_end_is_unusable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(VECTORS)
    assert proofs.main([VERIFY[0], "/dev/zero", *VERIFY[2:]]) == 2
    assert "/dev/zero: it is larger than" in capsys.readouterr().err


@pytest.mark.parametrize("left_out", range(1, len(VERIFY)))
def test_a_missing_argument_is_named(left_out: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2: nothing was proven or found false."""
    with pytest.raises(SystemExit) as ended:
        proofs.main(VERIFY[:left_out])
    assert ended.value.code == 2
    assert "required: " in capsys.readouterr().err or left_out == len(VERIFY) - 1


@pytest.mark.parametrize("end", ["tA==A", "tA======", "tB=="], ids=["more", "filled", "odd bits"])
def test_base64_is_written_in_one_way_only(end: str, key: Ed25519PublicKey) -> None:
    proof = read("reversal-proof")
    form = proof["canonical_entry"]
    assert form.endswith("tA==")
    proof["canonical_entry"] = form.removesuffix("tA==") + end
    with pytest.raises(proofs.Unusable, match="canonical_entry is not base64"):
        proofs.verify_entry(read("reversal"), proof, read("checkpoint-7"), key)


def test_a_negative_length_other_than_that_of_null_is_not_the_form_of_an_entry() -> None:
    form = base64.b64decode(read("accrual-proof")["canonical_entry"])
    at = form.index(b"\xff" * 4)
    with pytest.raises(proofs.NotProven, match="a field is cut off"):
        proofs.decode_entry(form[:at] + b"\xff\xff\xff\xfe" + form[at + 4 :])
