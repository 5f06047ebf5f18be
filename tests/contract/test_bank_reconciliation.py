"""Bank reconciliation over HTTP: from a statement to a status, matches made and undone."""

from __future__ import annotations

import uuid

import pytest

from tests.bank.banking import FILES, Line, csv_statement

from .client import answered, failing_fields, fresh_key, posted, refused, utc_day

REF = "OPERATING"


def add_account(api, **changes):
    body = {"bank_account_ref": REF, "account_code": "1000", "currency": "USD"} | changes
    return api.post("/bank-accounts", body)


def import_file(api, content: bytes, path: str = "/bank-statements", **options):
    headers = {"Content-Type": options.pop("media_type", "text/csv")}
    return api.post(path, content, headers=headers, **options)


def status_of(api, **params):
    (found,) = answered(api.get("/reconciliation/status", params=params))["bank_reconciliation"]
    return found["status"], found["difference_minor"]


def items_of(api, status="unmatched", **params):
    params = {"bank_account_ref": REF, "status": status, **params}
    return answered(api.get("/reconciliation/items", params=params))["items"]


def test_a_day_is_reconciled_when_every_line_finds_its_payment(api):
    loan = api.open_loan(100_000)
    entry = posted(api.pay(loan, 2_500, external_ref="proc-0001"))["journal_entry_id"]
    posted(add_account(api))
    assert status_of(api) == ("pending", "2500")
    line = Line(utc_day(), "25.00", reference="PROC-0001")
    found = posted(
        import_file(api, csv_statement(line, day=utc_day(), opening="10.00", closing="35.00"))
    )
    assert found["match_count"] == 1
    (statement,) = found["statements"]
    assert (statement["result"], statement["opening_minor"]) == ("imported", "1000")
    assert status_of(api) == ("reconciled", "0")
    assert items_of(api) == []
    bank, ledger = items_of(api, "matched")
    assert (bank["side"], ledger["side"]) == ("bank", "ledger")
    assert bank["match"] == ledger["match"]
    assert bank["match"]["rule"] == "reference"
    assert "proc-0001" in bank["match"]["explanation"]
    assert ledger["journal_entry_id"] == entry
    assert bank["statement_id"] == statement["statement_id"]


def test_a_payment_that_comes_after_the_statement_is_matched_when_the_status_is_asked(api):
    posted(add_account(api))
    posted(import_file(api, csv_statement(Line(utc_day(), "7.77"), day=utc_day(), opening="0.00",
                                          closing="7.77")))  # fmt: skip
    assert status_of(api) == ("pending", "777")
    posted(api.pay(api.open_loan(100_000), 777))
    assert status_of(api) == ("reconciled", "0")


def test_what_stays_unmatched_becomes_a_break_and_both_sides_are_listed(api):
    posted(add_account(api))
    loan = api.open_loan(100_000, effective_at=utc_day(-9))
    posted(api.pay(loan, 400, effective_at=utc_day(-9)))
    posted(import_file(api, csv_statement(Line(utc_day(-8), "-3.00", text="fee"), day=utc_day(-8),
                                          opening="50.00", closing="47.00")))  # fmt: skip
    # The payment of the day before the first statement is not the statement's business.
    assert status_of(api) == ("break", "300")
    assert status_of(api, as_of_date=utc_day(-8)) == ("pending", "300")
    shown = items_of(api)
    assert [(item["side"], item["direction"], item["amount_minor"]) for item in shown] == [
        ("bank", "out", "300"),
        ("ledger", "in", "400"),
    ]


def test_matches_are_made_and_undone_by_new_records(api):
    posted(add_account(api))
    loan = api.open_loan(100_000)
    posted(api.pay(loan, 600))
    posted(api.pay(loan, 400))
    lines = [Line(utc_day(), "9.00"), Line(utc_day(), "1.00")]
    posted(import_file(api, csv_statement(*lines, day=utc_day(), opening="0.00", closing="10.00")))
    assert status_of(api) == ("pending", "0")
    ids = [item["item_id"] for item in items_of(api)]
    assert len(ids) == 4
    body = {"bank_account_ref": REF, "item_ids": ids, "reason": "one deposit, booked as two"}
    refused(api.post("/reconciliation/matches", body | {"item_ids": ids[:2]}), 422, "match_refused")
    key = fresh_key()
    made = posted(api.post("/reconciliation/matches", body, key=key))
    assert answered(api.post("/reconciliation/matches", body, key=key)) == made
    assert status_of(api) == ("reconciled", "0")
    assert {item["match"]["explanation"] for item in items_of(api, "matched")} == {body["reason"]}
    refused(api.post("/reconciliation/matches", body), 422, "match_refused")
    undo = f"/reconciliation/matches/{made['match_id']}/undo"
    assert posted(api.post(undo, {"reason": "two customers"}))["status"] == "undone"
    refused(api.post(undo, {"reason": "two customers"}), 422, "match_refused")
    assert sorted(item["item_id"] for item in items_of(api)) == sorted(ids)
    missing = f"/reconciliation/matches/{uuid.uuid4()}/undo"
    refused(api.post(missing, {"reason": "x"}), 404, "not_found")


def test_a_file_again_is_known_and_a_key_again_is_a_replay(api):
    posted(add_account(api))
    content = csv_statement(Line(utc_day(), "1.00"), day=utc_day(), opening="0.00", closing="1.00")
    key = fresh_key()
    first = import_file(api, content, key=key)
    again = import_file(api, content, key=key)
    assert (again.status_code, again.content) == (200, posted(first) and first.content)
    assert again.headers["idempotent-replayed"] == "true"
    known = answered(import_file(api, content))
    assert [one["result"] for one in known["statements"]] == ["known"]
    assert known["statements"][0]["statement_id"] == first.json()["statements"][0]["statement_id"]
    refused(import_file(api, content + b"\n", key=key), 422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("name", "identifiers", "currency"),
    [
        ("camt053-v2.xml", ["DE89 3704 0044 0532 0130 00"], "EUR"),
        ("camt053-v8.xml", ["0001-7654321"], "JPY"),
        ("mt940.sta", ["37040044/0532013000"], "EUR"),
        ("ofx1.ofx", ["1234567890"], "USD"),
        ("ofx2.ofx", ["KW81CBKU0000000000001234560101"], "KWD"),
        ("statement.csv", ["acme-operating"], "USD"),
    ],
)
def test_every_format_is_taken_as_it_is(api, name, identifiers, currency):
    posted(add_account(api, identifiers=identifiers, currency=currency))
    content = (FILES / name).read_bytes()
    posted(import_file(api, content, media_type="application/octet-stream"))
    status, _ = status_of(api)
    assert status == "break"  # March is long ago, and the ledger has none of it


def test_bai2_with_two_accounts_needs_both(api):
    content = (FILES / "bai2.txt").read_bytes()
    posted(add_account(api, identifiers=["9876543210"]))
    problem = refused(import_file(api, content), 422, "statement_invalid")
    assert [error["code"] for error in problem["errors"]] == ["unknown_account"]
    assert "5554443332" in problem["errors"][0]["message"]
    assert items_of(api) == []
    posted(add_account(api, bank_account_ref="SECOND", account_code="1010",
                       identifiers=["5554443332"]))  # fmt: skip
    assert len(posted(import_file(api, content))["statements"]) == 2


def test_a_bad_file_says_where_it_is_bad_and_changes_nothing(api):
    posted(add_account(api))
    whole = csv_statement(Line(utc_day(), "1.00"), day=utc_day(), opening="0.00", closing="1.00")
    cut = b"\n".join(whole.split(b"\n")[:-1])
    problem = refused(import_file(api, cut), 422, "statement_invalid")
    assert problem["errors"][0]["field"] == "line 2"
    refused(import_file(api, whole[:40]), 422, "statement_invalid")
    refused(import_file(api, b"\x00\xff"), 422, "statement_invalid")
    refused(import_file(api, b""), 422, "statement_invalid")
    other = whole.replace(b"USD", b"EUR")
    problem = refused(import_file(api, other), 422, "statement_invalid")
    assert problem["errors"][0]["code"] == "currency"
    wrong = refused(import_file(api, whole, "/bank-statements?format=pdf"), 400, "bad_request")
    assert failing_fields(wrong) == {"format"}
    refused(import_file(api, whole, "/bank-statements?format=mt940"), 422, "statement_invalid")
    refused(import_file(api, whole, media_type="image/png"), 415, "unsupported_media_type")
    refused(import_file(api, b"x" * (2 * 1024 * 1024 + 1)), 413, "payload_too_large")
    refused(import_file(api, whole, key=None), 400, "bad_request")
    assert items_of(api) == []
    posted(import_file(api, whole))


def test_items_come_in_pages_without_a_gap(api, other_api):
    posted(add_account(api))
    lines = [Line(utc_day(-day), "1.00", bank_reference=f"B{day}{n}") for day in range(3)
             for n in range(3)]  # fmt: skip
    posted(import_file(api, csv_statement(*lines, day=utc_day(), opening="0.00", closing="9.00")))
    whole = [item["item_id"] for item in items_of(api)]
    params, paged = {"bank_account_ref": REF, "page_size": 2}, []
    while True:
        page = answered(api.get("/reconciliation/items", params=params))
        paged += [item["item_id"] for item in page["items"]]
        if "next_page_token" not in page:
            break
        params["page_token"] = page["next_page_token"]
    assert paged == whole
    assert len(set(whole)) == 9
    posted(add_account(other_api))
    refused(other_api.get("/reconciliation/items", params=params), 400, "bad_request")
    refused(api.get("/reconciliation/items", params=params | {"status": "matched"}), 400,
            "bad_request")  # fmt: skip
    for bad in ({}, {"bank_account_ref": "NOBODY"}, {"bank_account_ref": REF, "status": "lost"}):
        refused(api.get("/reconciliation/items", params=bad), 400, "bad_request")


def test_a_bank_account_is_added_once_and_listed(api, other_api):
    made = posted(add_account(api, identifiers=["de 12", "99"]))
    assert made == {"bank_account_ref": REF, "account_code": "1000", "currency": "USD",
                    "identifiers": ["99", "DE12"]}  # fmt: skip
    assert answered(api.get("/bank-accounts")) == {"items": [made]}
    assert answered(other_api.get("/bank-accounts")) == {"items": []}
    for changes, field in (
        ({}, "bank_account_ref"),
        ({"bank_account_ref": "B"}, "account_code"),
        ({"bank_account_ref": "B", "account_code": "4321"}, "account_code"),
        ({"bank_account_ref": "B", "currency": "XXX"}, "currency"),
        ({"bank_account_ref": "B", "account_code": "1010", "identifiers": ["99"]}, "identifiers"),
        (
            {"bank_account_ref": "B", "account_code": "1010", "identifiers": ["\u0000"]},
            "identifiers",
        ),
    ):
        problem = refused(add_account(api, **changes), 422, "bank_account_invalid")
        assert failing_fields(problem) == {field}
    for changes in ({"bank_account_ref": "a b"}, {"account_code": "10"}, {"currency": "usd"},
                    {"identifiers": []}, {"bank_account_ref": "a\u0000"}):  # fmt: skip
        refused(add_account(api, **changes), 400, "bad_request")


def test_what_is_another_tenants_is_not_there(api, other_api):
    posted(add_account(api))
    posted(add_account(other_api))
    posted(api.pay(api.open_loan(1_000), 100))
    line = Line(utc_day(), "1.00")
    content = csv_statement(line, day=utc_day(), opening="0.00", closing="1.00")
    posted(import_file(api, content))
    (match,) = {item["match"]["match_id"] for item in items_of(api, "matched")}
    undo = f"/reconciliation/matches/{match}/undo"
    refused(other_api.post(undo, {"reason": "mine"}), 404, "not_found")
    ids = [item["item_id"] for item in items_of(api, "matched")]
    body = {"bank_account_ref": REF, "item_ids": ids, "reason": "mine"}
    refused(other_api.post("/reconciliation/matches", body), 422, "match_refused")
    assert posted(import_file(other_api, content))["statements"][0]["result"] == "imported"
