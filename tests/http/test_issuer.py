"""The development issuer: its files, its tokens, its token endpoint (RFC 6749)."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpts.http.auth import Principal, Verifier
from hpts.http.issuer import ALL_SCOPES, DEVELOPMENT_ISSUER, FORM_BYTES_MAX, DevelopmentIssuer
from hpts.http.jwks import KeySource

TENANT = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
FORM = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("issuer") / "state" / "issuer"


@pytest.fixture(scope="module")
def shared(directory: Path) -> Iterator[DevelopmentIssuer]:
    yield DevelopmentIssuer.open(directory)


@pytest.fixture
def issuer(shared: DevelopmentIssuer) -> DevelopmentIssuer:
    shared.set_client(TENANT)
    return shared


def basic(client_id: str, client_secret: str) -> tuple[bytes, bytes]:
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode()
    return (b"authorization", b"Basic " + base64.b64encode(pair))


def verify(issuer: DevelopmentIssuer, token: str) -> Principal:
    verifier = Verifier(
        KeySource(issuer.jwks_path.as_uri()),
        issuer=DEVELOPMENT_ISSUER,
        audience="hpts",
        algorithms=("RS256",),
    )
    return asyncio.run(verifier.verify(b"Bearer " + token.encode()))


def ask(
    issuer: DevelopmentIssuer, fields: dict[str, str] | bytes, *headers: tuple[bytes, bytes]
) -> tuple[int, dict[str, Any]]:
    form = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    status, body = issuer.client_credentials(form, headers or (FORM,), audience="hpts")
    return status, json.loads(body)


def test_its_tokens_pass_the_verifier_against_its_key_set(issuer: DevelopmentIssuer) -> None:
    token = issuer.token(
        tenant_id=TENANT, scopes="hpts:ledger:read", subject="demo", audience="hpts"
    )
    principal = verify(issuer, token)
    assert (principal.tenant, principal.actor) == (TENANT, "demo")
    assert principal.scopes == {"hpts:ledger:read"}


def test_expires_in_is_honoured(issuer: DevelopmentIssuer) -> None:
    token = issuer.token(
        tenant_id=TENANT, scopes="", subject="demo", audience="hpts", expires_in=60
    )
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 60


def test_opening_again_finds_the_same_key_and_client(
    issuer: DevelopmentIssuer, directory: Path
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}
    again = DevelopmentIssuer.open(directory)
    assert (again.jwks, again.client_id, again.client_secret, again.tenant_id) == (
        issuer.jwks,
        issuer.client_id,
        issuer.client_secret,
        TENANT,
    )
    assert {path.name: path.stat().st_mtime_ns for path in directory.iterdir()} == before


def test_secrets_are_for_the_owner_only(issuer: DevelopmentIssuer, directory: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes["key.pem"] == modes["client.json"] == 0o600
    assert modes["jwks.json"] == 0o644
    assert set(modes) == {"key.pem", "client.json", "jwks.json", "lock"}, "nothing left over"
    assert directory.stat().st_mode & 0o777 == 0o700


def test_the_key_set_file_holds_the_public_half_only(issuer: DevelopmentIssuer) -> None:
    assert issuer.jwks_path.read_bytes() == issuer.jwks
    (key,) = json.loads(issuer.jwks)["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


def test_a_key_set_file_that_went_missing_is_written_again(tmp_path: Path) -> None:
    first = DevelopmentIssuer.open(tmp_path)
    first.jwks_path.unlink()
    assert DevelopmentIssuer.open(tmp_path).jwks_path.read_bytes() == first.jwks


def test_processes_that_open_at_once_agree(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from hpts.http.issuer import DevelopmentIssuer as D; "
        "print('ready', flush=True); sys.stdin.readline(); "
        "i = D.open(pathlib.Path(sys.argv[1])); print(i.jwks.decode(), i.client_secret)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "issuer")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        for _ in range(4)
    ]
    # Released together once all are loaded: they would else come one after another.
    for process in running:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    assert len(set(answers)) == 1


def test_another_process_setting_the_client_is_seen(
    issuer: DevelopmentIssuer, directory: Path
) -> None:
    other = "11111111-2222-4333-8444-555555555555"
    DevelopmentIssuer.open(directory).set_client(other)
    assert issuer.tenant_id == other


def test_the_clients_tenant_must_be_a_uuid(issuer: DevelopmentIssuer) -> None:
    with pytest.raises(ValueError):
        issuer.set_client("acme")


def test_all_scopes_are_those_of_the_contract() -> None:
    text = (resources.files("hpts.http") / "openapi.yaml").read_text()
    flows = yaml.safe_load(text)["components"]["securitySchemes"]["bearerAuth"]["flows"]
    assert tuple(flows["clientCredentials"]["scopes"]) == ALL_SCOPES


def test_a_client_may_authenticate_by_header_or_by_form(issuer: DevelopmentIssuer) -> None:
    secret = {"client_id": issuer.client_id, "client_secret": issuer.client_secret}
    for status, answer in (
        ask(issuer, GRANT, FORM, basic(issuer.client_id, issuer.client_secret)),
        ask(issuer, GRANT | secret),
    ):
        assert status == 200
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
        assert answer["scope"].split() == list(ALL_SCOPES)
        principal = verify(issuer, answer["access_token"])
        assert (principal.tenant, principal.actor) == (TENANT, issuer.client_id)
        assert principal.scopes == set(ALL_SCOPES)


def test_a_client_may_ask_for_fewer_scopes(issuer: DevelopmentIssuer) -> None:
    header = basic(issuer.client_id, issuer.client_secret)
    wanted = "hpts:loans:read hpts:balances:read hpts:loans:read"
    status, answer = ask(issuer, GRANT | {"scope": wanted}, FORM, header)
    assert (status, answer["scope"]) == (200, "hpts:loans:read hpts:balances:read")
    assert verify(issuer, answer["access_token"]).scopes == set(wanted.split())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        (GRANT | {"scope": "hpts:everything"}, "invalid_scope"),
        (GRANT | {"scope": " "}, "invalid_scope"),
        (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        (b"grant_type=%ff", "invalid_request"),
        (b"grant_type=\xff", "invalid_request"),
        (urlencode(GRANT | {f"x{n}": "1" for n in range(99)}).encode(), "invalid_request"),
        (b"a=" + b"x" * FORM_BYTES_MAX, "invalid_request"),
        (GRANT | {"client_secret": "twice"}, "invalid_request"),
        (GRANT | {"client_id": "another"}, "invalid_request"),
    ],
)
def test_a_bad_request_names_the_error_of_the_rfc(
    issuer: DevelopmentIssuer, fields: dict[str, str] | bytes, code: str
) -> None:
    header = basic(issuer.client_id, issuer.client_secret)
    status, answer = ask(issuer, fields, FORM, header)
    assert (status, answer["error"]) == (400, code)


def test_a_body_of_another_type_is_refused(issuer: DevelopmentIssuer) -> None:
    header = basic(issuer.client_id, issuer.client_secret)
    for content in ((), ((b"content-type", b"application/json"),)):
        status, answer = ask(issuer, GRANT, header, *content)
        assert (status, answer["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "authorization",
    [b"", b"Basic", b"Basic !!!", b"Basic bm9jb2xvbg==", b"Basic //8=", b"Bearer x", b"\xff"],
)
def test_an_authorization_that_cannot_be_read_is_401(
    issuer: DevelopmentIssuer, authorization: bytes
) -> None:
    status, answer = ask(issuer, GRANT, FORM, (b"authorization", authorization))
    assert (status, answer["error"]) == (401, "invalid_client")


def test_a_wrong_or_missing_secret_is_401(issuer: DevelopmentIssuer) -> None:
    wrong = [
        ask(issuer, GRANT),
        ask(issuer, GRANT | {"client_id": issuer.client_id}),
        ask(issuer, GRANT | {"client_id": issuer.client_id, "client_secret": "é"}),
        ask(issuer, GRANT, FORM, basic(issuer.client_id, "wrong")),
        ask(issuer, GRANT, FORM, basic("wrong", issuer.client_secret)),
    ]
    assert [(status, answer["error"]) for status, answer in wrong] == [
        (401, "invalid_client")
    ] * len(wrong)
    assert issuer.client_secret not in json.dumps(wrong)


def test_before_the_demo_tenant_exists_no_token_is_given(tmp_path: Path) -> None:
    fresh = DevelopmentIssuer.open(tmp_path)
    assert fresh.tenant_id is None
    status, answer = ask(fresh, GRANT, FORM, basic(fresh.client_id, fresh.client_secret))
    assert (status, answer["error"]) == (400, "unauthorized_client")


@settings(
    max_examples=200,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(max_size=60), st.binary(max_size=40), st.booleans())
def test_no_request_does_more_than_fail(
    issuer: DevelopmentIssuer, form: bytes, authorization: bytes, encoded: bool
) -> None:
    value = base64.b64encode(authorization) if encoded else authorization
    status, answer = ask(issuer, form, FORM, (b"authorization", b"Basic " + value))
    assert status in (400, 401)
    assert answer["error"] in ("invalid_client", "invalid_request")
