"""Problems: each code with its status, one title, advice, and nothing that a client must not see.

The table is the ledger rules', section 6; those of closed periods follow the one of a day in the
future.
"""

import ast
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

import hpts
from hpts.domain.rejections import FieldError, Rejection
from hpts.http.problems import KINDS, ProblemRaised, render_problem

TABLE = {
    400: "bad_request",
    401: "unauthorized",
    403: "insufficient_scope tenant_unknown",
    404: "not_found",
    405: "method_not_allowed",
    409: "idempotency_in_progress",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "idempotency_mismatch amount_not_positive amount_overflow unknown_currency loan_not_found "
    "currency_mismatch borrower_mismatch mixed_currencies duplicate_loan already_accrued "
    "effective_date_in_future period_closed period_not_over period_not_closed entry_not_found "
    "already_reversed not_reversible negative_balance "
    "metadata_too_large url_not_allowed too_many_webhook_endpoints",
    429: "rate_limited",
    503: "overloaded database_unavailable shutting_down",
}
STATUS_OF = {code: status for status, codes in TABLE.items() for code in codes.split()}
TRACE_ID = "ab" * 16


def render(raised: ProblemRaised) -> tuple[int, dict[str, Any], dict[bytes, bytes]]:
    status, body, headers = render_problem(
        raised, base_url="https://errors.test/", trace_id=TRACE_ID
    )
    assert len({name for name, _ in headers}) == len(headers), "each header once"
    return status, json.loads(body), dict(headers)


def test_every_code_of_the_rules_has_its_status() -> None:
    assert {code: KINDS[code].status for code in STATUS_OF} == STATUS_OF


def test_the_only_other_codes_are_our_own() -> None:
    banks = {"bank_account_invalid", "statement_invalid", "match_refused"}
    ours = {"internal_error", "mtls_required", "not_acceptable", "secret_not_readable", *banks}
    assert KINDS.keys() - STATUS_OF.keys() == ours
    assert KINDS["not_acceptable"].status == 406
    assert KINDS["secret_not_readable"].status == 422
    assert {KINDS[code].status for code in banks} == {422}
    assert KINDS["internal_error"].status == 500
    assert KINDS["mtls_required"].status == 403


def test_no_code_is_raised_that_is_not_in_the_table() -> None:
    found = {
        node.args[0].value
        for path in Path(hpts.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("ProblemRaised", "Unavailable")
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(found) > 5
    assert found <= KINDS.keys()


def test_titles_tell_codes_apart() -> None:
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
    assert all(kind.title and kind.advice for kind in KINDS.values())


@pytest.mark.parametrize("rejection", Rejection)
def test_every_refusal_of_the_ledger_is_a_problem(rejection: Rejection) -> None:
    expected = {Rejection.TENANT_UNKNOWN: 403, Rejection.IDEMPOTENCY_IN_PROGRESS: 409}
    assert KINDS[rejection.value].status == expected.get(rejection, 422)


def test_refusals_stand_in_the_order_of_the_table() -> None:
    order = [code for codes in TABLE.values() for code in codes.split()]
    assert [rejection.value for rejection in Rejection] == [
        code for code in order if code in {rejection.value for rejection in Rejection}
    ]


@pytest.mark.parametrize("code", KINDS)
def test_a_problem_has_every_member(code: str) -> None:
    status, problem, headers = render(ProblemRaised(code))
    instance = problem.pop("instance")
    assert str(uuid.UUID(instance.removeprefix("urn:uuid:"))) == instance[9:]
    assert problem == {
        "type": f"https://errors.test/{code}",
        "title": KINDS[code].title,
        "status": status,
        "detail": KINDS[code].advice,
        "trace_id": TRACE_ID,
        "code": code,
    }
    assert status == KINDS[code].status
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert ("retry-after" in headers) == (status in (409, 429, 503))


def test_an_instance_is_of_one_occurrence() -> None:
    instances = {render(ProblemRaised("not_found"))[1]["instance"] for _ in range(50)}
    assert len(instances) == 50


def test_a_detail_replaces_the_advice_and_never_the_title() -> None:
    _, problem, _ = render(ProblemRaised("overloaded", "Come back."))
    assert (problem["detail"], problem["title"]) == ("Come back.", KINDS["overloaded"].title)


def test_errors_are_shown_in_their_order() -> None:
    errors = (FieldError("b", "x", "one"), FieldError("a", "y", 'two "\u2028\x00'))
    _, problem, _ = render(ProblemRaised("bad_request", errors=errors))
    assert problem["errors"] == [
        {"field": "b", "code": "x", "message": "one"},
        {"field": "a", "code": "y", "message": 'two "\u2028\x00'},
    ]


@pytest.mark.parametrize("half", ["\ud800", "\udfff"])
def test_half_a_surrogate_pair_is_shown_as_something_else(half: str) -> None:
    """UTF-8 has no form for it; a problem must not fail for what it says."""
    error = FieldError(f"a{half}", f"b{half}", f"é{half}")
    _, problem, _ = render(ProblemRaised("bad_request", f"c{half}", errors=(error,)))
    assert problem["detail"] == "c?"
    assert problem["errors"] == [{"field": "a?", "code": "b?", "message": "é?"}]


def test_headers_of_an_occurrence_are_sent_with_it() -> None:
    _, _, headers = render(ProblemRaised("method_not_allowed", headers=((b"allow", b"GET"),)))
    assert headers[b"allow"] == b"GET"
