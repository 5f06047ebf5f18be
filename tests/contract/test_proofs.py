"""Checkpoints and proofs by API, held by the verifier that shares no code with the server."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization

from hpts import proofs
from hpts.http.checkpoint_key import CheckpointKey

from .client import answered, failing_fields, new_uuid, posted, refused


@pytest.fixture(scope="session")
def key(issuer):
    pem = CheckpointKey.load(issuer.checkpoint_key()).public_pem
    return serialization.load_pem_public_key(pem.encode())


def latest(api):
    return answered(api.get("/checkpoints/latest"))


def checkpoint_of(api, number):
    return answered(api.get(f"/checkpoints/{number}"))


def proof_of(api, entry_id, **params):
    return answered(api.get(f"/journal-entries/{entry_id}/proof", params=params))


def consistency(api, old, new):
    path = f"/checkpoints/{new['block_number']}/consistency"
    return answered(api.get(path, params={"from_block": old["block_number"]}))


@pytest.fixture
def story(api):
    """An entry of each kind, by event type."""
    loan, other = api.open_loan(), api.open_loan()
    accrued = posted(
        api.accrue([(loan.loan_id, 300), (other.loan_id, 0), (api.open_loan().loan_id, 7)])
    )
    paid = posted(api.pay(loan, 1_000, external_ref="proc ä", metadata={"\0": [1.5, None]}))
    unpaid = posted(api.reverse(paid["journal_entry_id"], reason_description="wrong loan"))
    first = answered(api.journal(loan.loan_id))["items"][-1]["journal_entry_id"]
    return {
        "disbursement": first,
        "accrual": accrued["journal_entry_id"],
        "payment_received": paid["journal_entry_id"],
        "reversal": unpaid["journal_entry_id"],
    }


@pytest.mark.parametrize("event_type", ["disbursement", "accrual", "payment_received", "reversal"])
def test_every_kind_of_entry_is_proven_by_what_the_api_says_of_it(api, story, key, event_type):
    entry = answered(api.entry(story[event_type]))
    assert entry["event_type"] == event_type
    proof = proof_of(api, story[event_type])
    signed = proofs.verify_entry(entry, proof, proof["checkpoint"], key)
    assert signed.tenant_id == api.tenant_id
    assert proof["checkpoint"] == latest(api)


def test_an_entry_is_proven_to_every_checkpoint_since_its_block(api, story, key):
    entry = answered(api.entry(story["accrual"]))
    first = proof_of(api, story["accrual"])["block"]["block_number"]
    last = latest(api)["block_number"]
    assert first < last
    for number in range(first, last + 1):
        proof = proof_of(api, story["accrual"], block_number=number)
        proofs.verify_entry(entry, proof, checkpoint_of(api, number), key)
    for number in (first - 1, last + 1):
        response = api.get(
            f"/journal-entries/{story['accrual']}/proof", params={"block_number": number}
        )
        assert (
            f"block {first} and the last is {last}" in refused(response, 404, "not_found")["detail"]
        )


def test_history_only_grew_between_any_two_checkpoints(api, story, key):
    last = latest(api)["block_number"]
    checkpoints = [checkpoint_of(api, number) for number in range(1, last + 1)]
    for at, old in enumerate(checkpoints):
        for new in checkpoints[at:]:
            proofs.verify_consistency(old, new, consistency(api, old, new), key)


def test_proofs_hold_across_tiles_of_the_tree(api, key):
    loan = api.open_loan()
    paid = [posted(api.pay(loan, 1))["journal_entry_id"] for _ in range(520)]
    last = latest(api)
    assert last["block_number"] == 521
    for at in (0, 1, 253, 254, 255, 256, 400, 510, 511, 519):
        entry = answered(api.entry(paid[at]))
        for number in sorted({at + 2, 256, 257, 512, 513, 521}):
            if number >= at + 2:
                proof = proof_of(api, paid[at], block_number=number)
                proofs.verify_entry(entry, proof, checkpoint_of(api, number), key)
    for number in (1, 2, 255, 256, 257, 300, 511, 512, 513, 520, 521):
        old = checkpoint_of(api, number)
        proofs.verify_consistency(old, last, consistency(api, old, last), key)


def test_a_checkpoint_is_the_same_for_ever(api, story):
    old = latest(api)
    api.open_loan()
    assert checkpoint_of(api, old["block_number"]) == old
    assert latest(api) != old


def test_the_reply_and_the_head_that_verify_prints_are_covered(api, story):
    form = base64.b64decode(proof_of(api, story["payment_received"])["canonical_entry"])
    said = proofs.decode_entry(form)
    assert said["tenant_id"] == api.tenant_id
    assert b'"allocation"' in form


def test_two_tenants_share_no_checkpoint(api, other_api, story, key):
    other_api.open_loan()
    mine, theirs = latest(api), latest(other_api)
    assert mine["root_hash"] != theirs["root_hash"]
    refused(other_api.get(f"/journal-entries/{story['accrual']}/proof"), 404, "not_found")
    with pytest.raises(proofs.NotProven, match="two tenants"):
        proofs.verify_consistency(theirs, mine, {"path": []}, key)
    proof = proof_of(api, story["accrual"])
    entry = answered(api.entry(story["accrual"]))
    with pytest.raises(proofs.NotProven, match="another tenant"):
        proofs.verify_entry(entry, proof, theirs, key)


def test_a_tenant_without_postings_has_no_checkpoint(api):
    problem = refused(api.get("/checkpoints/latest"), 404, "not_found")
    assert "Nothing was posted yet" in problem["detail"]
    refused(api.get("/checkpoints/1"), 404, "not_found")
    refused(api.get(f"/journal-entries/{new_uuid()}/proof"), 404, "not_found")


def test_a_checkpoint_that_is_not_there_yet_is_not_found(api):
    api.open_loan()
    problem = refused(api.get("/checkpoints/2"), 404, "not_found")
    assert problem["detail"] == "The tenant's last block is 1."


@pytest.mark.parametrize("number", ["0", "-1", "1.0", "01", "x", "9" * 19, "%00", "1%20"])
def test_a_block_number_of_another_form_is_refused(api, number):
    api.open_loan()
    problem = refused(api.get(f"/checkpoints/{number}"), 400, "bad_request")
    assert failing_fields(problem) == {"block_number"}


def test_a_consistency_proof_needs_an_older_block(api):
    api.open_loan()
    for params in ({}, {"from_block": "0"}, {"from_block": "a"}):
        problem = refused(api.get("/checkpoints/1/consistency", params=params), 400, "bad_request")
        assert failing_fields(problem) == {"from_block"}
    refused(api.get("/checkpoints/1/consistency", params={"from_block": "2"}), 404, "not_found")


def test_the_command_says_what_is_proven_and_what_is_not(api, story, issuer, tmp_path):
    (tmp_path / "key.pem").write_text(CheckpointKey.load(issuer.checkpoint_key()).public_pem)
    entry = answered(api.entry(story["payment_received"]))
    proof = proof_of(api, story["payment_received"])
    names = ("entry", "proof", "checkpoint")

    def run(*files):
        for name, content in zip(names, files, strict=True):
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        command = [sys.executable, "-m", "hpts.proofs", "verify"]
        command += [str(tmp_path / f"{name}.json") for name in names]
        command += ["--key", str(tmp_path / "key.pem")]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = run(entry, proof, proof["checkpoint"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"proven: the entry is in the ledger of tenant {api.tenant_id}")
    done = run(entry | {"actor": "somebody else"}, proof, proof["checkpoint"])
    assert done.returncode == 1
    assert (
        done.stderr == "NOT PROVEN: the entry's actor is not what was hashed when it was posted\n"
    )
    done = run([], proof, proof["checkpoint"])
    assert (done.returncode, done.stderr) == (2, "unusable: the entry is not a JSON object\n")
