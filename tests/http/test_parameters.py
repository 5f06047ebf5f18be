"""Path and query parameters: read by form, and everything wrong is said at once."""
# ruff: noqa: RUF001  (digits that are not ASCII are among what must be refused)

import re
import uuid
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.http.parameters import NAME_SHOWN_MAX, Parameters, today
from hpts.http.problems import ProblemRaised
from tests.http.asgi import request_of

KNOWN = ("as_of_date", "page_size", "layer")
ID = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def parameters(query: str | bytes = b"", *path: str, known: Any = KNOWN) -> Parameters:
    raw = query if isinstance(query, bytes) else query.encode()
    request = request_of(query=raw)
    request.path_parameters = path
    return Parameters(request, known)


def errors(found: Parameters) -> list[tuple[str, str]]:
    try:
        found.check()
    except ProblemRaised as raised:
        assert raised.code == "bad_request"
        return [(error.field, error.code) for error in raised.errors]
    return []


@pytest.mark.parametrize("query", ["", "&", "&&&"])
def test_no_parameters_are_none(query: str) -> None:
    found = parameters(query)
    assert (found.text("layer"), found.date("as_of_date")) == (None, None)
    assert found.number("page_size", default=50, highest=200) == 50
    assert errors(found) == []


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_is_decoded_from_either_encoding(value: str) -> None:
    assert parameters(urlencode({"layer": value})).text("layer") == value
    assert parameters("layer=" + quote(value, safe="")).text("layer") == value


@given(st.binary(max_size=60))
def test_no_query_breaks_anything(query: bytes) -> None:
    found = parameters(query)
    found.date("as_of_date")
    found.choice("layer", ("a", "b"))
    found.number("page_size", default=1, highest=9)
    assert all(len(field) <= NAME_SHOWN_MAX for field, _ in errors(found))


def test_a_parameter_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ProblemRaised) as raised:
        parameters("as_of=2026-01-01").check()
    assert raised.value.errors[0].field == "as_of"
    assert "as_of_date, layer, page_size" in raised.value.errors[0].message
    assert errors(parameters("x", known=())) == [("x", "unknown_parameter")]


def test_a_parameter_given_twice_is_refused_even_with_one_value() -> None:
    assert errors(parameters("layer=a&layer=a")) == [("layer", "duplicate_parameter")]
    assert errors(parameters("layer=a&l%61yer=b")) == [("layer", "duplicate_parameter")]


def test_everything_wrong_is_said_at_once() -> None:
    found = parameters("as_of_date=x&layer=y&page_size=0&z=1", "not-an-id")
    found.path_identifier("loan_id")
    found.date("as_of_date")
    found.choice("layer", ("SETTLED",))
    assert found.number("page_size", default=50, highest=200) == 50
    assert errors(found) == [
        ("z", "unknown_parameter"),
        ("loan_id", "format"),
        ("as_of_date", "format"),
        ("layer", "enum"),
        ("page_size", "range"),
    ]


@pytest.mark.parametrize("shown", [ID, ID.upper()])
def test_an_identifier_in_a_path_is_shown_in_lower_case(shown: str) -> None:
    assert parameters("", shown).path_identifier("loan_id") == (uuid.UUID(ID).bytes, ID)


@pytest.mark.parametrize("text", ["1", ID[:-1], ID + "0", ID.replace("-", ""), f"{ID}\n", "é" * 36])
def test_another_identifier_is_refused(text: str) -> None:
    found = parameters("", text)
    found.path_identifier("loan_id")
    assert errors(found) == [("loan_id", "format")]


@pytest.mark.parametrize(
    ("code", "fits"), [("1000", True), ("0000", True), ("100", False), ("1000\n", False),
                       ("١٠٠٠", False), ("10000", False)]
)  # fmt: skip
def test_a_path_of_a_form(code: str, fits: bool) -> None:
    found = parameters("", code)
    assert found.path_text("account_code", re.compile("[0-9]{4}"), "four digits") == code
    assert errors(found) == ([] if fits else [("account_code", "pattern")])


@pytest.mark.parametrize(
    "text",
    ["", "2026-02-29", "2026-11-20T00:00:00Z", "20261120", "today", "2026-11-20 ", "０" * 10],
)
def test_a_day_that_is_none_is_refused(text: str) -> None:
    found = parameters(urlencode({"as_of_date": text}))
    found.date("as_of_date")
    assert errors(found) == [("as_of_date", "format")]


def test_a_day_is_kept_as_it_was_written() -> None:
    assert parameters("as_of_date=2024-02-29").date("as_of_date") == "2024-02-29"


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("50", 50), ("200", 200)])
def test_a_number_within_its_bounds(text: str, number: int) -> None:
    found = parameters(f"page_size={text}")
    assert found.number("page_size", default=7, highest=200) == number
    assert errors(found) == []


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "201", "1.0", "1e2", "050", "%2B5", "5%0A", "9" * 5_000, "%D9%A1", "x"]
)
def test_a_number_outside_them_is_refused(text: str) -> None:
    found = parameters(f"page_size={text}")
    found.number("page_size", default=7, highest=200)
    assert errors(found) == [("page_size", "range")]


def test_a_choice_is_of_the_known_exactly() -> None:
    assert parameters("layer=SETTLED").choice("layer", ("SETTLED",)) == "SETTLED"
    for text in ("settled", "SETTLED ", ""):
        found = parameters(urlencode({"layer": text}))
        found.choice("layer", ("SETTLED", "PENDING"))
        assert errors(found) == [("layer", "enum")]


def test_today_is_a_day() -> None:
    assert parameters(f"as_of_date={today()}").date("as_of_date") == today()
