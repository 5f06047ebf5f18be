"""A server whose operator changed the key of webhooks' secrets and has none for checkpoints."""

from __future__ import annotations

import uuid

import httpx
import pytest

from hpts.http.webhook_secrets import new_key_text
from tests.conftest import start_server, stop_server

from .client import Api, answered, posted, refused

URL = "https://hooks.example.com/hpts"


@pytest.fixture(scope="module")
def other_server(server, issuer, tmp_path_factory):
    """The same database under another webhook key, and without a checkpoint key."""
    directory = tmp_path_factory.mktemp("other-keys")
    key = directory / "webhook.key"
    key.write_bytes(new_key_text())
    changed = {"HPTS_WEBHOOK_KEY": str(key), "HPTS_CHECKPOINT_KEY": None}
    started = start_server(server.database_url, issuer, directory / "log", **changed)
    yield started
    stop_server(started)


@pytest.fixture
def changed(api, other_server):
    """The tenant's client of that server."""
    with httpx.Client(base_url=other_server.base_url, timeout=30, trust_env=False) as client:
        yield Api(client=client, document=api.document, tenant_id=api.tenant_id, token=api.token)


def test_a_replay_of_a_secret_sealed_under_another_key_says_what_to_do(api, changed):
    create, rotate = f"create:{uuid.uuid4()}", f"rotate:{uuid.uuid4()}"
    first = posted(api.post("/webhook-endpoints", {"url": URL}, key=create))
    path = f"/webhook-endpoints/{first['endpoint_id']}/rotate-secret"
    posted(api.post(path, {}, key=rotate))
    for _ in range(2):
        for sent in (("/webhook-endpoints", {"url": URL}, create), (path, {}, rotate)):
            problem = refused(
                changed.post(sent[0], sent[1], key=sent[2]), 422, "secret_not_readable"
            )
            assert "Rotate the endpoint's secret" in problem["detail"]
    assert posted(changed.post(path, {}))["secret"] != first["secret"], "as it was told to do"
    assert len(answered(changed.get("/webhook-endpoints"))["items"]) == 1


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/checkpoints/latest", {}),
        ("/checkpoints/1", {}),
        ("/checkpoints/2/consistency", {"from_block": 1}),
        ("/journal-entries/{entry}/proof", {}),
    ],
)
def test_without_a_key_every_checkpoint_and_proof_is_404_and_says_why(api, changed, path, params):
    loan = api.open_loan(1_000)
    entry = posted(api.pay(loan, 1))["journal_entry_id"]
    path = path.format(entry=entry)
    answered(api.get(path, params=params))
    problem = refused(changed.get(path, params=params), 404, "not_found")
    assert "HPTS_CHECKPOINT_KEY is not set" in problem["detail"]
