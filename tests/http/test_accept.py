"""Which form of an answer a client gets, by RFC 9110 12.5.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.http.accept import CSV_TYPE, JSON_TYPE, choose, wants_csv
from hpts.http.problems import ProblemRaised
from tests.http.asgi import request_of


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("application/json", JSON_TYPE),
        ("text/csv", CSV_TYPE),
        ("TEXT/CSV", CSV_TYPE),
        ("text/csv; charset=utf-8", CSV_TYPE),
        ("text/csv;header=present;q=1.000", CSV_TYPE),
        ("text/*", CSV_TYPE),
        ("application/*", JSON_TYPE),
        ("*/*", JSON_TYPE),
        ("text/csv, application/json", JSON_TYPE),
        ("text/csv, application/json;q=0.9", CSV_TYPE),
        ("text/csv;q=0.9, application/json;q=0.95", JSON_TYPE),
        ("text/csv;q=0.001,*/*;q=0", CSV_TYPE),
        ("text/csv, */*;q=0.1", CSV_TYPE),
        ("application/json;q=0, */*", CSV_TYPE),
        ("text/csv;q=0, text/*", None),
        ("text/csv ; q = 0.5 , application/json ; q=0.4", CSV_TYPE),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON_TYPE),
        ("text/html", None),
        ("application/xml", None),
        ("application/json;q=0", None),
        ("*/*;q=0", None),
        ("*/*;q=0.000", None),
        ("", JSON_TYPE),
        (" , ,", JSON_TYPE),
        ("csv", JSON_TYPE),
        ("text/csv;q=2", CSV_TYPE),
    ],
)
def test_the_client_gets_what_it_likes_best(accept: str, chosen: str | None) -> None:
    assert choose(accept) == chosen


def test_without_the_header_it_is_json() -> None:
    assert not wants_csv(request_of())


def test_several_headers_are_one_list() -> None:
    sent = ((b"accept", b"application/json;q=0.5"), (b"accept", b"text/csv"))
    assert wants_csv(request_of(*sent))


def test_what_cannot_be_sent_is_406() -> None:
    with pytest.raises(ProblemRaised, match="not_acceptable"):
        wants_csv(request_of((b"accept", b"image/png")))


@given(st.text(alphabet='textcsvapplicationjson/*;q=.,0123 \t"', max_size=60) | st.text())
def test_any_header_has_an_answer(accept: str) -> None:
    assert choose(accept) in (JSON_TYPE, CSV_TYPE, None)
