"""Bodies of the four POST operations: good ones, and ways to spoil them a little or altogether."""
# ruff: noqa: RUF001  (digits that are not ASCII are among what must be refused)

import copy
import json
from typing import Any

from hypothesis import strategies as st

from hpts.http.payloads import ACCRUAL_BATCH, DISBURSEMENT, PAYMENT, REVERSAL, Kind

KINDS: dict[str, Kind] = {
    "PaymentRequest": PAYMENT,
    "DisbursementRequest": DISBURSEMENT,
    "AccrualBatchRequest": ACCRUAL_BATCH,
    "ReversalRequest": REVERSAL,
}
METHODS = ("ach", "wire", "card", "check", "cash", "rtp", "fednow", "internal", "other")

uuids = st.uuids().map(str) | st.uuids().map(lambda identifier: str(identifier).upper())
days = st.dates().map(lambda date: date.isoformat())
amounts = st.integers(0, 10**19 - 1).map(str)
currencies = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3)
texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
metadata = st.dictionaries(texts, values, max_size=4)
loans = st.fixed_dictionaries(
    {"loan_id": uuids, "outstanding_principal_minor": amounts, "interest_minor": amounts}
)
movement: dict[str, Any] = {
    "loan_id": uuids,
    "borrower_id": uuids,
    "amount_minor": amounts,
    "currency": currencies,
    "effective_at": days,
}


def references(size: int) -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=["Cs"])
    return st.text(characters, min_size=1, max_size=9) | st.just("é" * size)


BODIES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "PaymentRequest": st.fixed_dictionaries(
        movement | {"source_method": st.sampled_from(METHODS)},
        optional={"external_ref": references(255), "metadata": metadata},
    ),
    "DisbursementRequest": st.fixed_dictionaries(
        movement | {"method": st.sampled_from(METHODS)},
        optional={"destination_ref": references(255), "metadata": metadata},
    ),
    "AccrualBatchRequest": st.fixed_dictionaries(
        {
            "program_id": uuids,
            "accrual_date": days,
            "day_count_convention": st.sampled_from(
                ("ACT_365", "ACT_360", "ACT_ACT", "THIRTY_360")
            ),
            "loans": st.lists(loans, min_size=1, max_size=4),
        }
    ),
    "ReversalRequest": st.fixed_dictionaries(
        {
            "reverses_entry_id": uuids,
            "reason_code": st.sampled_from(("error_correction", "fraud", "other")),
            "reason_description": references(500),
            "effective_at": days,
        },
        optional={"metadata": metadata},
    ),
}

STRANGE = (
    None, True, False, 0, 1, -1, 1.0, 2**63, 2**64, 2**200, 1e308, "", " ", "\n", "\0", "0", "00",
    "-0", "-1", "+1", "1.0", "1e3", "0x1", "01", "1_0", "1\n", "\n1", "١", "１２", "²", "9" * 19,
    "1" + "0" * 19, "9" * 5000, "USD", "usd", "USD\n", "US", "USDT", "ＵＳＤ", "ÄÖÜ", "2024-02-29",
    "2023-02-29", "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "2024-1-01",
    "2024-01-01\n", "2024-01-01T00:00:00Z", "20240101", "2024-W01-1", "2024-001", "２０２４-01-01",
    "2024/01/01", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B",
    "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b\n",
    "{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g",
    "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a 5", "0190a1b2-c3d4-7e5f-8a9b--c1d2e3f4a5b",
    "٠190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "ach", "ACH", "ach ", "x" * 255, "x" * 256, "x" * 500,
    "x" * 501, "😀" * 255, "😀" * 256, [], {}, [[]], [{}], {"a": {"b": []}}, ["ach"], "ACT_365",
    "\u2028", "\x7f", "ﬁ",
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, schema_name: str) -> dict[str, Any]:
    """A good body with up to three changes anywhere; it may still be good."""
    body = copy.deepcopy(draw(BODIES[schema_name]))
    for _ in range(draw(st.integers(0, 3))):
        place = body
        if isinstance(body.get("loans"), list) and body["loans"] and draw(st.booleans()):
            chosen = draw(st.sampled_from(body["loans"]))
            place = chosen if isinstance(chosen, dict) else body
        change = draw(st.sampled_from(("replace", "remove", "add", "rename")))
        name = draw(st.sampled_from(sorted(place))) if place else "x"
        if change in ("replace", "add"):
            added = draw(st.sampled_from(("x", "", "loan_id ", "amount", "loans", "metadata")))
            new = draw(st.sampled_from(STRANGE) | values)
            place[name if change == "replace" else added] = new
        elif place:
            value = place.pop(name)
            if change == "rename":
                place[name.upper()] = value
    return body


def dump(value: Any, *, spaces: bool = False) -> bytes:
    text = json.dumps(value, ensure_ascii=False, indent=2 if spaces else None)
    return text.encode()
