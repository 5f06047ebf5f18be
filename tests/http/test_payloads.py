"""The fast decoders accept what the document accepts; what they refuse is listed field by field."""

import datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpts.domain.limits import ERRORS_MAX
from hpts.http.document import DATE, list_errors, load_document
from hpts.http.problems import ProblemRaised
from tests.http.bodies import BODIES, KINDS, METHODS, STRANGE, dump, spoilt

ID = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
PAYMENT = {
    "loan_id": ID,
    "borrower_id": ID,
    "amount_minor": "2500",
    "currency": "USD",
    "effective_at": "2026-11-20",
    "source_method": "ach",
}
LOAN = {"loan_id": ID, "outstanding_principal_minor": "1", "interest_minor": "1"}
ACCRUAL = {
    "program_id": ID,
    "accrual_date": "2026-11-20",
    "day_count_convention": "ACT_365",
    "loans": [LOAN],
}
every_kind = pytest.mark.parametrize("schema_name", KINDS)


def refusal_of(schema_name: str, body: bytes) -> ProblemRaised | None:
    try:
        KINDS[schema_name].decode(body)
    except ProblemRaised as raised:
        assert raised.code == "bad_request"
        assert raised.errors, "a refusal names what is wrong"
        return raised
    return None


def fields(schema_name: str, body: Any) -> dict[str, str]:
    raised = refusal_of(schema_name, body if isinstance(body, bytes) else dump(body))
    assert raised is not None
    return {error.field: error.code for error in raised.errors}


@every_kind
@settings(max_examples=100)
@given(data=st.data())
def test_what_fits_the_document_is_accepted(schema_name: str, data: st.DataObject) -> None:
    body = dump(data.draw(BODIES[schema_name]))
    assert list_errors(schema_name, body) == ()
    assert refusal_of(schema_name, body) is None


@every_kind
@settings(max_examples=300)
@given(data=st.data())
def test_the_fast_way_and_the_document_agree(schema_name: str, data: st.DataObject) -> None:
    body = dump(data.draw(spoilt(schema_name)))
    listed = list_errors(schema_name, body)
    raised = refusal_of(schema_name, body)
    assert (raised is None) == (listed == ())
    if raised is not None:
        assert raised.errors == listed


@every_kind
def test_they_agree_on_every_strange_value_of_every_field(schema_name: str) -> None:
    good: dict[str, Any] = good_body(schema_name)
    for name in (*good, "external_ref", "metadata"):
        for value in STRANGE:
            body = dump(good | {name: value})
            listed = list_errors(schema_name, body)
            assert (refusal_of(schema_name, body) is None) == (listed == ()), (name, value)


def good_body(schema_name: str) -> dict[str, Any]:
    return {
        "PaymentRequest": PAYMENT,
        "DisbursementRequest": {
            ("method" if name == "source_method" else name): value
            for name, value in PAYMENT.items()
        },
        "AccrualBatchRequest": ACCRUAL,
        "ReversalRequest": {
            "reverses_entry_id": ID,
            "reason_code": "fraud",
            "reason_description": "x",
            "effective_at": "2026-11-20",
        },
    }[schema_name]


@every_kind
@settings(max_examples=200)
@given(data=st.data())
def test_every_failing_field_is_listed_with_its_path(schema_name: str, data: st.DataObject) -> None:
    """An independent walk over the document's schema finds the same paths."""
    body = data.draw(spoilt(schema_name))
    raised = refusal_of(schema_name, dump(body))
    expected = failing(load_document()["components"]["schemas"][schema_name], body, "")
    listed = {error.field for error in raised.errors} if raised else set()
    assert listed == expected


def failing(schema: dict[str, Any], value: Any, path: str) -> set[str]:
    while "$ref" in schema:
        schema = load_document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if schema["type"] == "object" and isinstance(value, dict):
        properties = schema.get("properties", {})
        found = {join(path, name) for name in schema.get("required", ()) if name not in value}
        if schema["additionalProperties"] is False:
            found |= {join(path, name) for name in value if name not in properties}
        for name in value.keys() & properties.keys():
            found |= failing(properties[name], value[name], join(path, name))
        return found
    if schema["type"] == "array" and isinstance(value, list):
        found = set() if schema["minItems"] <= len(value) <= schema["maxItems"] else {path}
        for at, item in enumerate(value):
            found |= failing(schema["items"], item, f"{path}[{at}]")
        return found
    fits = jsonschema.Draft202012Validator(schema).is_valid(value)
    if fits and isinstance(value, str):
        fits = not ("pattern" in schema and value.endswith("\n"))
        fits = fits and (schema.get("format") != "date" or is_date(value))
    return set() if fits else {path}


def is_date(text: str) -> bool:
    """Whether it is written as a date and is one: 2023-02-29 is not."""
    try:
        return DATE.fullmatch(text) is not None and bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def join(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")


def test_every_failing_field_of_a_request_is_listed_at_once() -> None:
    assert fields(
        "AccrualBatchRequest",
        {
            "program_id": 7,
            "accrual_date": "2026-02-30",
            "loans": [LOAN, {"loan_id": "x", "interest_minor": "-1", "fee": "1"}, "loan"],
            "metadata": {},
        },
    ) == {
        "program_id": "type",
        "accrual_date": "format",
        "day_count_convention": "required",
        "loans[1].loan_id": "pattern",
        "loans[1].interest_minor": "pattern",
        "loans[1].outstanding_principal_minor": "required",
        "loans[1].fee": "unknown_field",
        "loans[2]": "type",
        "metadata": "unknown_field",
    }


@pytest.mark.parametrize("count", [0, 10_001])
def test_an_accrual_batch_has_1_to_10_000_loans(count: int) -> None:
    code = "minItems" if count == 0 else "maxItems"
    assert fields("AccrualBatchRequest", ACCRUAL | {"loans": [LOAN] * count}) == {"loans": code}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}}",
        b"nope",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"loan_id":"\xff"}',
        b'{"loan_id":"\\ud800"}',
        b"{'loan_id':1}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":01}',
        b'{"a":"\x00"}',
    ],
)
@every_kind
def test_what_is_no_json_is_said_to_be_none(schema_name: str, body: bytes) -> None:
    assert fields(schema_name, body) == {"": "malformed_json"}


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"7", b"1.5", b"true"])
@every_kind
def test_a_body_is_an_object(schema_name: str, body: bytes) -> None:
    assert fields(schema_name, body) == {"": "type"}


@pytest.mark.parametrize("depth", [100, 500, 900, 980, 985, 990, 995, 1_000, 5_000])
def test_metadata_nested_too_deeply_is_refused_and_never_more(depth: int) -> None:
    body = dump(PAYMENT)[:-1] + b', "metadata": {"a":' + b"[" * depth + b"]" * depth + b"}}"
    refused = refusal_of("PaymentRequest", body) is not None
    assert refused == (depth >= 990) or 900 < depth < 1_000


def test_huge_strings_are_refused_not_parsed() -> None:
    assert fields("PaymentRequest", PAYMENT | {"amount_minor": "9" * 2_000_000}).keys() == {
        "amount_minor"
    }


def test_every_method_of_the_document_is_accepted() -> None:
    for method in METHODS:
        assert refusal_of("PaymentRequest", dump(PAYMENT | {"source_method": method})) is None


def test_errors_are_bounded() -> None:
    every_field = dump(ACCRUAL | {"loans": [{}] * 10_000})
    assert len(list_errors("AccrualBatchRequest", every_field)) == ERRORS_MAX
    too_many = dump(dict.fromkeys(map(str, range(ERRORS_MAX + 1)), 1))
    assert len(list_errors("AccrualBatchRequest", too_many)) == ERRORS_MAX
