"""traceparent in its every form, and X-Trace-Id on both sides of its last day."""

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.http.tracing import read_trace

LAST_DAY = datetime.date(2026, 10, 1)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
ANSWER = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
FRESH = re.compile(r"[0-9a-f]{32}")


def read(traceparent: str | None = None, legacy: str | None = None, *, day: int = 1) -> str:
    """The trace id; the traceparent that is answered is checked against it."""
    headers = {}
    if traceparent is not None:
        headers["traceparent"] = traceparent
    if legacy is not None:
        headers["x-trace-id"] = legacy
    trace_id, answered = read_trace(headers, lambda: LAST_DAY + datetime.timedelta(days=day))
    match = ANSWER.fullmatch(answered)
    assert match, answered
    assert match[2].strip("0") and match[2] != SPAN, "a span of our own"
    if FRESH.fullmatch(trace_id):
        assert match[1] == trace_id
    return trace_id


def test_the_trace_of_the_caller_goes_on() -> None:
    assert read(GOOD) == TRACE


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_its_flags_are_answered(flags: str) -> None:
    _, answered = read_trace({"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}, lambda: LAST_DAY)
    assert answered.endswith(flags)


@pytest.mark.parametrize("more", ["", "-", "-and-more"])
def test_a_later_version_may_have_more_fields(more: str) -> None:
    assert read(f"cc-{TRACE}-{SPAN}-01{more}") == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"{GOOD}-",
        f"{GOOD}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"0-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00_{TRACE}_{SPAN}_01",
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}, {GOOD}",
        "é" * 55,
    ],
)
def test_what_is_no_traceparent_starts_a_new_trace(traceparent: str) -> None:
    first, second = read(traceparent), read(traceparent)
    assert FRESH.fullmatch(first)
    assert TRACE not in (first, second)
    assert first != second


@pytest.mark.parametrize("day", [-400, -1, 0])
def test_x_trace_id_is_honoured_up_to_its_last_day(day: int) -> None:
    assert read(legacy="order-12345", day=day) == "order-12345"


@pytest.mark.parametrize("day", [1, 2, 400])
def test_x_trace_id_is_ignored_after_its_last_day(day: int) -> None:
    assert FRESH.fullmatch(read(legacy="order-12345", day=day))


def test_the_days_are_the_first_and_the_second_of_october_2026() -> None:
    headers = {"x-trace-id": "order-12345"}
    assert read_trace(headers, lambda: datetime.date(2026, 10, 1))[0] == "order-12345"
    assert read_trace(headers, lambda: datetime.date(2026, 10, 2))[0] != "order-12345"


@pytest.mark.parametrize("day", [0, 1])
def test_traceparent_comes_before_x_trace_id(day: int) -> None:
    assert read(GOOD, "order-12345", day=day) == TRACE


def test_x_trace_id_stands_in_for_a_traceparent_that_is_none() -> None:
    assert read("nonsense", "order-12345", day=0) == "order-12345"


@pytest.mark.parametrize("legacy", ["a" * 7, "a" * 129, "order 12345", "order_12345", "orders-1\n"])
def test_an_x_trace_id_of_another_form_starts_a_new_trace(legacy: str) -> None:
    assert FRESH.fullmatch(read(legacy=legacy, day=0))


@given(st.text(max_size=80), st.text(max_size=140), st.dates())
def test_no_header_can_break_the_answer(
    traceparent: str, legacy: str, today: datetime.date
) -> None:
    trace_id, answered = read_trace(
        {"traceparent": traceparent, "x-trace-id": legacy}, lambda: today
    )
    assert re.fullmatch(r"[A-Za-z0-9\-]{8,128}", trace_id)
    assert ANSWER.fullmatch(answered)
