"""What a good body becomes: identifiers, days, commands, details, and its fingerprint."""
# ruff: noqa: RUF001  (digits that are not ASCII are among what must be refused)

import datetime
import json
import uuid
from hashlib import sha256
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.domain.accrual import Accrual, AccruedLoan
from hpts.domain.disbursement import Disbursement
from hpts.domain.entries import day_of
from hpts.domain.payment import Payment
from hpts.domain.reversal import Reversal
from hpts.http.payloads import PAYMENT, Misfit, parse_day, parse_identifier
from tests.http.bodies import BODIES, KINDS, STRANGE, dump, metadata

LOAN = uuid.UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
BORROWER = uuid.UUID("0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5C")
TODAY = datetime.date(2026, 11, 20)
MOVED = {
    "loan_id": str(LOAN),
    "borrower_id": str(BORROWER),
    "amount_minor": "2500",
    "currency": "USD",
    "effective_at": "2026-11-20",
}
PAID = MOVED | {"source_method": "ach"}
every_kind = pytest.mark.parametrize("schema_name", KINDS)


def command_of(schema_name: str, body: Any) -> Any:
    return KINDS[schema_name].decode(dump(body))[0]


def fingerprint(schema_name: str, body: Any, **how: bool) -> bytes:
    return KINDS[schema_name].decode(body if isinstance(body, bytes) else dump(body, **how))[1]


@given(st.uuids(), st.booleans())
def test_an_identifier_is_read_in_either_case(identifier: uuid.UUID, upper: bool) -> None:
    text = str(identifier).upper() if upper else str(identifier)
    assert parse_identifier(text) == identifier.bytes


@given(st.text("0123456789abcdefABCDEF-gG \n٠", min_size=30, max_size=40))
def test_what_is_no_identifier_is_refused(text: str) -> None:
    with pytest.raises(Misfit):
        parse_identifier(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOAN.hex,
        f"{{{LOAN}}}",
        f"urn:uuid:{LOAN}",
        f"{LOAN}\n",
        f" {LOAN}"[:36],
        str(LOAN).replace("-", "_"),
        str(LOAN).replace("0", "٠"),
        str(LOAN)[:-2] + " 5",
        str(LOAN)[:-2] + "  ",
        str(LOAN)[:-1] + "g",
        str(LOAN)[:-1] + "-",
        "-" * 36,
        " " * 36,
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f-a5b",
        "0190a1b-2c3d4-7e5f-8a9b-0c1d2e3f4a5b",
    ],
)
def test_other_forms_of_an_identifier_are_refused(text: str) -> None:
    with pytest.raises(Misfit, match="must be a UUID"):
        parse_identifier(text)


@given(st.dates())
def test_a_day_is_read(date: datetime.date) -> None:
    assert parse_day(date.isoformat()) == day_of(date)


def test_the_first_and_the_last_day_are_read() -> None:
    assert parse_day("0001-01-01") == day_of(datetime.date.min)
    assert parse_day("9999-12-31") == day_of(datetime.date.max)
    assert parse_day("2000-01-01") == 0
    assert parse_day("2000-02-29") == 59


@pytest.mark.parametrize(
    "text",
    [
        "0000-01-01",
        "10000-01-01",
        "2023-02-29",
        "1900-02-29",
        "2024-02-30",
        "2024-00-01",
        "2024-13-01",
        "2024-01-00",
        "2024-01-32",
        "20240101",
        "2024-001",
        "2024-W01-1",
        "2024W011",
        "2024-1-01",
        "2024-01-1",
        "2024-01-01\n",
        "\n2024-01-01",
        " 2024-01-0",
        "+024-01-01",
        "-024-01-01",
        "2024-01-01T00:00:00Z",
        "２０２４-01-01",
        "2024-01-١١",
        "2024/01/01",
        "01-01-2024",
        "",
    ],
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Misfit, match="must be a date"):
        parse_day(text)


@pytest.mark.parametrize("value", [value for value in STRANGE if isinstance(value, str)])
def test_a_day_is_what_python_calls_an_iso_date_of_ten_characters(value: str) -> None:
    try:
        expected = day_of(datetime.datetime.strptime(value, "%Y-%m-%d").date())
    except ValueError:
        expected = None
    if expected is None or len(value) != 10 or not value.isascii():
        with pytest.raises(Misfit):
            parse_day(value)
    else:
        assert parse_day(value) == expected


def test_a_payment_is_read_whole() -> None:
    body = PAID | {"external_ref": "wire 7", "metadata": {"b": [1, "é"], "a": None}}
    shown = b'{"method":"ach","external_ref":"wire 7","metadata":{"b":[1,"\xc3\xa9"],"a":null}}'
    assert command_of("PaymentRequest", body) == Payment(
        loan_id=LOAN.bytes,
        borrower_id=BORROWER.bytes,
        amount_minor=2500,
        currency=b"USD",
        effective_day=day_of(TODAY),
        details=shown,
        metadata_bytes=len('{"b":[1,"é"],"a":null}'.encode()),
    )


def test_a_disbursement_is_read_whole_with_its_borrower_in_the_details() -> None:
    body = MOVED | {"method": "wire", "destination_ref": "iban"}
    command = command_of("DisbursementRequest", body)
    assert isinstance(command, Disbursement)
    assert (command.loan_id, command.borrower_id) == (LOAN.bytes, BORROWER.bytes)
    assert (command.amount_minor, command.currency) == (2500, b"USD")
    assert json.loads(command.details) == {
        "method": "wire",
        "borrower_id": str(BORROWER),
        "external_ref": "iban",
    }


def test_an_accrual_batch_is_read_whole() -> None:
    loans = [
        {"loan_id": str(LOAN), "outstanding_principal_minor": "0", "interest_minor": "9" * 19},
        {"loan_id": str(BORROWER), "outstanding_principal_minor": "10", "interest_minor": "0"},
    ]
    body = {
        "program_id": str(LOAN),
        "accrual_date": "2026-11-20",
        "day_count_convention": "ACT_ACT",
        "loans": loans,
    }
    command = command_of("AccrualBatchRequest", body)
    assert isinstance(command, Accrual)
    assert command.effective_day == day_of(TODAY)
    assert command.loans == (
        AccruedLoan(LOAN.bytes, 0, 10**19 - 1),
        AccruedLoan(BORROWER.bytes, 10, 0),
    )
    assert json.loads(command.details) == {
        "program_id": str(LOAN),
        "day_count_convention": "ACT_ACT",
        "principals_digest": sha256(LOAN.bytes + bytes(16)).hexdigest(),
    }


def test_a_reversal_is_read_whole() -> None:
    body = {
        "reverses_entry_id": str(LOAN),
        "reason_code": "fraud",
        "reason_description": "stolen card",
        "effective_at": "2026-11-20",
    }
    assert command_of("ReversalRequest", body) == Reversal(
        reverses_entry_id=LOAN.bytes,
        effective_day=day_of(TODAY),
        details=b'{"reason_code":"fraud","description":"stolen card"}',
    )


@given(metadata)
def test_metadata_is_measured_as_compact_utf_8_json(found: dict[str, Any]) -> None:
    command = command_of("PaymentRequest", PAID | {"metadata": found})
    kept = json.loads(command.details)["metadata"]
    assert kept == found
    compact = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
    if not any(character in compact for character in "e\x7f"):  # two ways to write a number or DEL
        assert command.metadata_bytes == len(compact.encode())


@pytest.mark.parametrize(
    ("found", "size"),
    [({}, 2), ({"a": 1}, 7), ({"a": "é"}, 10), ({"a": "😀"}, 12), ({"a": [1, 2]}, 11)],
)
def test_white_space_and_escapes_do_not_count_into_metadata(
    found: dict[str, Any], size: int
) -> None:
    for spaces in (False, True):
        body = dump(PAID | {"metadata": found}, spaces=spaces)
        assert PAYMENT.decode(body)[0].metadata_bytes == size
    escaped = json.dumps(PAID | {"metadata": found}, ensure_ascii=True).encode()
    assert PAYMENT.decode(escaped)[0].metadata_bytes == size


@every_kind
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_member_order_and_white_space_do_not_change_the_fingerprint(
    schema_name: str, data: st.DataObject, seed: int
) -> None:
    body = data.draw(BODIES[schema_name])
    shuffled = shuffle(body, Random(seed))
    assert fingerprint(schema_name, body) == fingerprint(schema_name, shuffled, spaces=True)
    escaped = json.dumps(shuffled, ensure_ascii=True).encode()
    assert fingerprint(schema_name, body) == fingerprint(schema_name, escaped)


def shuffle(value: Any, random: Random) -> Any:
    """The value with the members of its objects in another order, at every depth."""
    if isinstance(value, dict):
        names = random.sample(list(value), len(value))
        return {name: shuffle(value[name], random) for name in names}
    return [shuffle(item, random) for item in value] if isinstance(value, list) else value


@every_kind
@given(data=st.data())
def test_any_other_difference_changes_the_fingerprint(
    schema_name: str, data: st.DataObject
) -> None:
    first, second = data.draw(BODIES[schema_name]), data.draw(BODIES[schema_name])
    name = data.draw(st.sampled_from(sorted(first.keys() | second.keys())))
    changed = {key: value for key, value in first.items() if key != name}
    if name in second:
        changed[name] = second[name]
    try:
        found = fingerprint(schema_name, changed)
    except Exception:
        return  # a field that must be given was taken out
    is_same = canonical(first) == canonical(changed)
    assert (fingerprint(schema_name, first) == found) == is_same


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": None}, {}),
        ({}, None),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": None}}),
        ({"a": "é"}, {"a": "e\u0301"}),
        ({"a": 2**70}, {"a": 2**70 + 1}),
        ({"a": True}, {"a": 1}),
        ({"a,b": 1}, {"a": 1, "b": 1}),
    ],
)
def test_metadata_that_differs_is_another_request(first: Any, second: Any) -> None:
    bodies = [PAID | ({} if found is None else {"metadata": found}) for found in (first, second)]
    assert fingerprint("PaymentRequest", bodies[0]) != fingerprint("PaymentRequest", bodies[1])


def test_the_operation_is_part_of_the_fingerprint() -> None:
    assert len({kind.operation for kind in KINDS.values()}) == len(KINDS)
    body = dump(MOVED | {"method": "ach"})
    moved = fingerprint("DisbursementRequest", body)
    assert moved != fingerprint("PaymentRequest", body.replace(b'"method"', b'"source_method"'))
