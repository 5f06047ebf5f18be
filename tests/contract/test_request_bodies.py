"""Bodies that are hostile or merely odd: media types, sizes, JSON at its edges, NUL, surrogates."""

from __future__ import annotations

import json

import pytest

from .client import (
    Loan,
    answered,
    disbursement_body,
    fresh_key,
    new_uuid,
    owed,
    payment_body,
    posted,
    refused,
    reversal_body,
)
from .wire import chunked, exchange

BODY_BYTES_MAX = 2 * 1024 * 1024


def padded(body, size: int) -> bytes:
    text = json.dumps(body).encode()
    return text + b" " * (size - len(text))


def headers_for(api, **more: str) -> dict[str, str]:
    return {
        **api.authorization(api.token),
        "Content-Type": "application/json",
        "Idempotency-Key": fresh_key(),
        **more,
    }


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/json",
        "application/jsonx",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application",
        "json",
        "*/*",
        "",
    ],
)
def test_another_media_type_is_415(api, media_type):
    body = disbursement_body(Loan(), 1)
    response = api.post("/disbursements", body, headers={"Content-Type": media_type})
    refused(response, 415, "unsupported_media_type")


def test_no_media_type_is_415(api):
    headers = {**api.authorization(api.token), "Idempotency-Key": fresh_key()}
    response = api.send("POST", "/disbursements", content=b"{}", headers=headers)
    refused(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "media_type",
    ["application/json;charset=utf-8", "application/json ; charset=UTF-8", "Application/JSON"],
)
def test_parameters_and_case_of_the_media_type_do_not_matter(api, media_type):
    body = disbursement_body(Loan(), 1)
    posted(api.post("/disbursements", body, headers={"Content-Type": media_type}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"{]",
        b'{"loan_id"}',
        b'{"loan_id":}',
        b"{'loan_id':'x'}",
        b'{"loan_id":"x",}',
        b"{} {}",
        b"{}x",
        b'{"metadata":{"a":NaN}}',
        b'{"metadata":{"a":Infinity}}',
        b'{"metadata":{"a":-Infinity}}',
        b'{"metadata":{"a":01}}',
        b'{"metadata":{"a":+1}}',
        b'{"metadata":{"a":.5}}',
        b'{"metadata":{"a":"\n"}}',
        b'{"metadata":{"a":"\\x"}}',
        b'{"metadata":{"a":"\xff"}}',
        b'{"metadata":{"a":"\xed\xa0\x80"}}',
        b"// comment\n{}",
        b"\x00",
        b"\xff\xfe{\x00}\x00",
        "{}".encode("utf-16"),
        b"<loan/>",
    ],
)
def test_malformed_json_is_400(api, body):
    refused(api.post("/payments", body), 400, "bad_request")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"metadata":{"a":['])
@pytest.mark.parametrize("depth", [100, 5_000, 100_000])
def test_deep_nesting_is_400(api, opening, depth):
    refused(api.post("/payments", opening * depth), 400, "bad_request")


@pytest.mark.parametrize("depth", [10, 500, 2_000])
def test_deep_metadata_is_posted_or_refused(api, depth):
    loan = Loan()
    text = json.dumps(disbursement_body(loan, 1, metadata={"a": "DEEP"}))
    body = text.replace('"DEEP"', "[" * depth + "]" * depth).encode()
    response = api.post("/disbursements", body)
    assert response.status_code in ((201,) if depth == 10 else (201, 400, 422)), response.text


ODD_STRINGS = {
    "nul": "\\u0000",
    "nul inside": "a\\u0000b",
    "high surrogate": "\\ud800",
    "low surrogate": "\\udfff",
    "reversed surrogates": "\\udc00\\ud800",
}
ODD_BUT_WHOLE_STRINGS = {
    "pair": "\\ud83d\\ude00",
    "controls": "\\u0001\\u001f\\u007f\\u0085",
    "line separators": "\\u2028\\u2029",
    "noncharacter": "\\uffff\\ufffe",
    "direction": "\\u202ex",
    "quotes": "\\\"'\\\\ --; ${x} %s {0}",
}


def posts_with(api, text: str):
    """One post of each operation with the raw JSON string text in each free-form place."""
    loan = api.open_loan(100)
    payment = posted(api.pay(loan, 1))["journal_entry_id"]
    payment_2 = posted(api.pay(loan, 1))["journal_entry_id"]
    for path, body in (
        ("/payments", payment_body(loan, 1, external_ref="ODD")),
        ("/payments", payment_body(loan, 1, metadata={"a": "ODD"})),
        ("/payments", payment_body(loan, 1, metadata={"ODD": 1})),
        ("/payments", payment_body(loan, 1, metadata={"a": [{"b": {"ODD": "ODD"}}]})),
        ("/disbursements", disbursement_body(loan, 1, destination_ref="ODD")),
        ("/disbursements", disbursement_body(loan, 1, metadata={"a": "ODD"})),
        ("/reversals", reversal_body(payment, reason_description="ODD")),
        ("/reversals", reversal_body(payment_2, metadata={"a": "ODD"})),
    ):
        sent, key = json.dumps(body).replace("ODD", text).encode(), fresh_key()
        yield api.post(path, sent, key=key), api.post(path, sent, key=key)


@pytest.mark.parametrize("text", ODD_STRINGS.values(), ids=ODD_STRINGS.keys())
def test_nul_and_lone_surrogates_are_never_a_server_error(api, text):
    for first, second in posts_with(api, text):
        assert first.status_code in (201, 400, 422), first.text
        if first.status_code == 201:
            assert second.content == first.content


@pytest.mark.parametrize("text", ODD_BUT_WHOLE_STRINGS.values(), ids=ODD_BUT_WHOLE_STRINGS.keys())
def test_whole_unicode_strings_are_kept(api, text):
    for first, second in posts_with(api, text):
        entry = answered(api.entry(posted(first)["journal_entry_id"]))
        assert second.content == first.content
        sent = json.loads(first.request.content)
        reference = sent.get("external_ref") or sent.get("destination_ref")
        if reference is not None:
            assert {line["external_ref"] for line in entry["lines"]} == {reference}


@pytest.mark.parametrize(
    "number",
    ["9" * 30, "9" * 3_900, "-" + "9" * 3_900, "1e400", "-1e400", "1e-400", "1" * 400 + ".5", "-0"],
)
def test_huge_numbers_in_metadata_are_never_a_server_error(api, number):
    text = json.dumps(disbursement_body(Loan(), 1, metadata={"n": "HUGE"}))
    sent, key = text.replace('"HUGE"', number).encode(), fresh_key()
    first, second = (api.post("/disbursements", sent, key=key) for _ in range(2))
    assert first.status_code in (201, 400, 422), first.text
    if first.status_code == 201:
        assert second.content == first.content


@pytest.mark.parametrize("field", ["amount_minor", "currency", "effective_at", "loan_id"])
@pytest.mark.parametrize("number", ["9" * 5_000, "1e999999999", "0.1", "-0"])
def test_numbers_where_strings_belong_are_400(api, field, number):
    text = json.dumps({**payment_body(Loan(), 1), field: "HERE"}).replace('"HERE"', number)
    refused(api.post("/payments", text.encode()), 400, "bad_request")


def test_a_member_named_twice_is_never_a_server_error(api):
    loan = api.open_loan(100)
    text = json.dumps(payment_body(loan, 1)).replace("{", '{"amount_minor":"50",', 1)
    response = api.post("/payments", text.encode())
    assert response.status_code in (201, 400), response.text


def test_a_body_of_exactly_the_limit_is_read(api):
    loan = Loan()
    posted(api.post("/disbursements", padded(disbursement_body(loan, 7), BODY_BYTES_MAX)))
    assert owed(api, loan) == (7, 0, 0)


def test_a_body_one_byte_over_the_limit_is_413(api, server):
    loan = Loan()
    body = padded(disbursement_body(loan, 7), BODY_BYTES_MAX + 1)
    headers = headers_for(api, **{"Content-Length": str(len(body))})
    reply = exchange(server.base_url, "POST", "/v1/disbursements", headers=headers, pieces=[body])
    api.document.check(reply)
    assert reply.status == 413
    refused(api.loan(loan.loan_id), 404, "not_found")


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 10**12])
def test_a_length_over_the_limit_is_413_before_the_body_is_sent(api, server, size):
    headers = headers_for(api, **{"Content-Length": str(size)})
    reply = exchange(server.base_url, "POST", "/v1/payments", headers=headers)
    api.document.check(reply)
    assert reply.status == 413


def test_a_stream_over_the_limit_is_413_before_it_ends(api, server):
    headers = headers_for(api, **{"Transfer-Encoding": "chunked"})
    pieces = chunked([b" " * 65_536] * (BODY_BYTES_MAX // 65_536) + [b" "])
    reply = exchange(server.base_url, "POST", "/v1/payments", headers=headers, pieces=pieces)
    api.document.check(reply)
    assert reply.status == 413


def test_a_chunked_body_within_the_limit_is_read(api):
    loan = Loan()
    text = json.dumps(disbursement_body(loan, 7)).encode()
    pieces = (text[index : index + 10] for index in range(0, len(text), 10))
    response = api.send("POST", "/disbursements", content=pieces, headers=headers_for(api))
    posted(response)
    assert owed(api, loan) == (7, 0, 0)


def test_size_comes_after_the_media_type_and_before_the_key(api, server):
    length = {"Content-Length": str(BODY_BYTES_MAX + 1)}
    for changes, status in (
        ({"Authorization": "Bearer x"}, 401),
        ({"Content-Type": "text/plain"}, 415),
        ({"Idempotency-Key": "short"}, 413),
    ):
        headers = headers_for(api, **length) | changes
        reply = exchange(server.base_url, "POST", "/v1/payments", headers=headers)
        api.document.check(reply)
        assert reply.status == status


def test_a_body_on_a_read_is_ignored(api):
    response = api.send(
        "GET",
        f"/loans/{new_uuid()}/balance",
        content=b"{",
        headers=api.authorization(api.token),
    )
    refused(response, 404, "not_found")
