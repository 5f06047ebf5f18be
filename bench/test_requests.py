"""What a request costs before and beside the ledger: its body, its token, its problem.

Real signatures of a real RSA key; bodies as the API document has them.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.rates import note_rate
from hpts.domain.rejections import FieldError
from hpts.http.auth import Principal, TokenRefused, Verifier
from hpts.http.issuer import DEVELOPMENT_ISSUER, DevelopmentIssuer
from hpts.http.jwks import KeySource
from hpts.http.payloads import ACCRUAL_BATCH, PAYMENT
from hpts.http.problems import ProblemRaised, render_problem
from hpts.http.request_meters import REQUESTS, note_request
from hpts.http.routes import ROUTES
from hpts.spans import SPANS

LOANS, LOANS_SMALL = 10_000, 20
TENANT = "7b0c1a52-4a2e-4b8e-9f44-0d6f5a1c2e3d"
TOKENS = 25
"""Checked in one go, so that entering the event loop hardly counts."""
BASE_URL = "https://errors.hpts.example.com/"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
FIELD_ERRORS = (
    FieldError("amount_minor", "pattern", "must match ^(0|[1-9][0-9]{0,18})$"),
    FieldError("currency", "pattern", "must match ^[A-Z]{3}$"),
    FieldError("effective_at", "format", "must be a date"),
    FieldError("source_method", "enum", "must be one of ach, wire, card, check, cash"),
    FieldError("colour", "additional_property", "is not a field of this body"),
)


def payment_body() -> bytes:
    payment = {
        "loan_id": str(uuid.uuid4()),
        "borrower_id": str(uuid.uuid4()),
        "amount_minor": "2500",
        "currency": "USD",
        "effective_at": "2026-03-02",
        "source_method": "ach",
        "external_ref": "ACH-20260302-000123",
        "metadata": {"channel": "autopay"},
    }
    return json.dumps(payment).encode()


def accrual_body(loans: int) -> bytes:
    accrual = {
        "program_id": str(uuid.uuid4()),
        "accrual_date": "2026-03-02",
        "day_count_convention": "ACT_365",
        "loans": [
            {
                "loan_id": str(uuid.uuid4()),
                "outstanding_principal_minor": "100000",
                "interest_minor": "27",
            }
            for _ in range(loans)
        ],
    }
    return json.dumps(accrual).encode()


@pytest.mark.benchmark(group="request bodies")
def test_decoding_a_payment(benchmark: BenchmarkFixture) -> None:
    command, digest = benchmark(PAYMENT.decode, payment_body())
    assert (command.amount_minor, command.currency, len(digest)) == (2_500, b"USD", 32)


@pytest.mark.benchmark(group="request bodies")
def test_decoding_a_payment_with_a_bad_field(benchmark: BenchmarkFixture) -> None:
    """The slow path: the body is gone through again to list every bad field."""
    body = payment_body().replace(b'"2500"', b'"25.00"')

    def decode() -> ProblemRaised | None:
        try:
            PAYMENT.decode(body)
        except ProblemRaised as raised:
            return raised
        return None

    refused = benchmark(decode)
    assert refused is not None
    assert [error.field for error in refused.errors] == ["amount_minor"]


@pytest.mark.benchmark(group="request bodies")
def test_decoding_an_accrual_of_10_000_loans(
    benchmark: BenchmarkFixture, is_measured: bool
) -> None:
    loans = LOANS if is_measured else LOANS_SMALL
    body = accrual_body(loans)
    benchmark.extra_info["body_bytes"] = len(body)
    command, _ = benchmark.pedantic(ACCRUAL_BATCH.decode, (body,), rounds=30, warmup_rounds=1)
    note_rate(benchmark, loans, "loans")
    assert sum(loan.interest_minor for loan in command.loans) == 27 * loans


@pytest.fixture
def verifier(issuer: DevelopmentIssuer) -> Verifier:
    keys = KeySource(issuer.jwks_path.resolve().as_uri())
    asyncio.run(keys.refetch())
    return Verifier(keys, issuer=DEVELOPMENT_ISSUER, audience="hpts", algorithms=("RS256", "ES256"))


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """Runs a coroutine to its end, on an event loop that is there already."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.close()


@pytest.fixture
def fresh_headers(issuer: DevelopmentIssuer) -> Callable[[], list[bytes]]:
    """Authorization values that no verifier has seen: each token has an identifier of its own."""

    def sign() -> bytes:
        scopes = "hpts:payments:write hpts:balances:read"
        token = issuer.token(tenant_id=TENANT, scopes=scopes, subject="tester", audience="hpts")
        return b"Bearer " + token.encode()

    return lambda: [sign() for _ in range(TOKENS)]


@pytest.mark.benchmark(group="tokens")
def test_a_token_seen_before(
    benchmark: BenchmarkFixture,
    verifier: Verifier,
    run: Callable[..., Any],
    fresh_headers: Callable[[], list[bytes]],
) -> None:
    header = fresh_headers()[0]
    assert verifier.verify_cached(header) is None
    verified = run(verifier.verify(header))
    assert benchmark(verifier.verify_cached, header) == verified
    assert verified.tenant == TENANT


@pytest.mark.benchmark(group="tokens")
@pytest.mark.parametrize("is_genuine", [True, False], ids=["signed well", "signed by another"])
def test_tokens_never_seen(
    benchmark: BenchmarkFixture,
    verifier: Verifier,
    run: Callable[..., Any],
    fresh_headers: Callable[[], list[bytes]],
    is_genuine: bool,
) -> None:
    def headers() -> tuple[tuple[list[bytes]], dict[str, Any]]:
        signed = fresh_headers()
        # Another token's signature: as long and as well formed as its own, and wrong.
        wrong = [
            left.rpartition(b".")[0] + b"." + right.rpartition(b".")[2]
            for left, right in zip(signed, signed[1:] + signed[:1], strict=True)
        ]
        return (signed if is_genuine else wrong,), {}

    async def verify_each(headers: list[bytes]) -> list[Principal | str]:
        found: list[Principal | str] = []
        for header in headers:
            try:
                found.append(await verifier.verify(header))
            except TokenRefused as refused:
                found.append(refused.reason)
        return found

    found = benchmark.pedantic(
        lambda headers: run(verify_each(headers)), setup=headers, rounds=20, warmup_rounds=1
    )
    note_rate(benchmark, TOKENS, "tokens")
    answers = {each.tenant if isinstance(each, Principal) else each for each in found}
    assert answers == ({TENANT} if is_genuine else {"the signature does not match"})
    assert len(found) == TOKENS


@pytest.mark.benchmark(group="problems")
@pytest.mark.parametrize(
    "raised",
    [ProblemRaised("not_found"), ProblemRaised("bad_request", errors=FIELD_ERRORS)],
    ids=["plain", "five field errors"],
)
def test_building_a_problem(benchmark: BenchmarkFixture, raised: ProblemRaised) -> None:
    status, body, headers = benchmark(render_problem, raised, base_url=BASE_URL, trace_id=TRACE_ID)
    problem = json.loads(body)
    assert (status, problem["code"]) == (problem["status"], raised.code)
    assert [error["field"] for error in problem.get("errors", ())] == [
        error.field for error in raised.errors
    ]
    assert ("content-type", "application/problem+json") in headers


@pytest.mark.benchmark(group="metrics")
def test_counting_an_answered_request(benchmark: BenchmarkFixture) -> None:
    """What every request pays for /metrics."""
    before = sum(sum(cells[:-1]) for _, cells in REQUESTS.samples())
    benchmark(note_request, ROUTES[0], 201, None, 0.012)
    assert sum(sum(cells[:-1]) for _, cells in REQUESTS.samples()) > before


@pytest.mark.benchmark(group="metrics")
def test_looking_for_a_tracer(benchmark: BenchmarkFixture) -> None:
    """What every request pays for traces that nobody asked for."""
    assert benchmark(lambda: SPANS.tracer is None)
