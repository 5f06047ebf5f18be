"""Log lines: JSON, one each, in batches; none is lost and none stops a posting."""

import contextlib
import datetime
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.telemetry import BUFFER_BYTES_MAX, FLUSH_SECONDS, JsonLines, RequestLine

WAIT_SECONDS_MAX = 30.0
ANSWERED = RequestLine("2026-11-20T09:00:00.000Z", "info", "GET", "/v1/x", 200, 0.25, "ab" * 16)


class Pipe:
    """A pipe, the handler that writes into it, and what was read from it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.lines = JsonLines(self.writer)
        self.logger = logging.Logger("of one test", logging.DEBUG)
        self.logger.addHandler(self.lines)

    def read(self) -> list[dict[str, Any]]:
        """Every line so far; waits for the first."""
        found = os.read(self.reader, 1 << 20)
        assert found.endswith(b"\n")
        return [json.loads(line) for line in found.splitlines()]

    def is_empty(self) -> bool:
        os.set_blocking(self.reader, False)
        try:
            return not os.read(self.reader, 1)
        except BlockingIOError:
            return True
        finally:
            os.set_blocking(self.reader, True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    with contextlib.suppress(OSError):  # where the test closed it
        os.close(made.reader)  # first: who waits at a full pipe then waits no longer
    made.lines.flush()
    with contextlib.suppress(OSError):
        os.close(made.writer)


def test_a_request_is_one_line_of_json(pipe: Pipe) -> None:
    pipe.lines.request(ANSWERED)
    assert pipe.read() == [
        {
            "time": "2026-11-20T09:00:00.000Z",
            "level": "info",
            "method": "GET",
            "route": "/v1/x",
            "status": 200,
            "duration_ms": 0.25,
            "trace_id": "ab" * 16,
        }
    ]


def test_requests_are_buffered_and_written_without_being_asked(pipe: Pipe) -> None:
    started = time.monotonic()
    pipe.lines.request(ANSWERED)
    pipe.lines.request(ANSWERED)
    was_empty = pipe.is_empty()
    assert was_empty or time.monotonic() - started > FLUSH_SECONDS
    assert len(pipe.read()) == 2
    assert time.monotonic() - started < WAIT_SECONDS_MAX


def test_flush_writes_at_once(pipe: Pipe) -> None:
    for _ in range(3):
        pipe.lines.request(ANSWERED)
    pipe.lines.flush()
    assert len(pipe.read()) == 3


def test_a_reader_who_does_not_read_stops_nothing_and_is_told_what_was_dropped(pipe: Pipe) -> None:
    line = b'"' + b"x" * (BUFFER_BYTES_MAX // 4) + b'"\n'
    started = time.monotonic()
    for _ in range(16):
        pipe.lines.add(line)
        time.sleep(FLUSH_SECONDS / 8)
    assert time.monotonic() - started < WAIT_SECONDS_MAX
    pipe.lines.add(b'"last"\n')
    written = b""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while b"dropped" not in written and time.monotonic() < deadline:
        written += os.read(pipe.reader, 1 << 20)
    os.close(pipe.reader)
    found = [json.loads(text) for text in written[: written.rindex(b"\n")].splitlines()]
    kept = sum(isinstance(item, str) and item.startswith("x") for item in found)
    dropped = [item["message"] for item in found if isinstance(item, dict)]
    assert 0 < kept < 16
    assert dropped[0].startswith("dropped ")


def test_a_record_is_written_at_once_with_its_trace_id_and_exception(pipe: Pipe) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        pipe.logger.error("failed: %s", "why", exc_info=error, extra={"trace_id": "cd" * 16})
    (line,) = pipe.read()
    assert (line["level"], line["message"], line["trace_id"]) == ("error", "failed: why", "cd" * 16)
    assert "ValueError: two\nlines" in line["exception"]


@pytest.mark.parametrize("message", ["\ud800", "a\nb", "\x00", "é\u2028", '"}', "x" * 20_000])
def test_whatever_is_logged_stays_one_line(pipe: Pipe, message: str) -> None:
    pipe.logger.info("%s", message)
    assert [line["message"] for line in pipe.read()] == [message]


class Unshowable(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


def test_a_record_that_cannot_be_shown_stops_nobody(pipe: Pipe) -> None:
    pipe.logger.error("a number: %d", "none")
    pipe.logger.error("unexpected: %r", Unshowable(), exc_info=Unshowable())
    pipe.lines.flush()
    assert [line["message"] for line in pipe.read()] == ["a number: %d", "unexpected: %r"]


@pytest.mark.parametrize("closed", ["reader", "writer"])
def test_a_closed_pipe_never_raises(pipe: Pipe, closed: str) -> None:
    os.close(getattr(pipe, closed))
    for _ in range(3):
        pipe.lines.request(ANSWERED)
        pipe.lines.flush()
        pipe.logger.error("nobody reads this")


def test_a_full_pipe_never_blocks_a_descriptor_that_must_not(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    pipe.lines.add(b"x" * (1 << 21) + b"\n")
    pipe.lines.flush()


def test_no_line_is_lost_or_torn_when_many_threads_write(pipe: Pipe) -> None:
    threads, each = 8, 300
    found = bytearray()
    reading = threading.Thread(target=lambda: drain(pipe.reader, found))
    reading.start()

    def write(thread: int) -> None:
        for number in range(each):
            pipe.lines.add(json.dumps([thread, number, "x" * 200]).encode() + b"\n")

    writing = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    pipe.lines.flush()
    time.sleep(3 * FLUSH_SECONDS)  # a flush under way in the timer's thread
    os.close(pipe.writer)
    reading.join(WAIT_SECONDS_MAX)
    lines = [json.loads(line) for line in found.splitlines()]
    assert sorted((thread, number) for thread, number, _ in lines) == [
        (thread, number) for thread in range(threads) for number in range(each)
    ]


def drain(descriptor: int, found: bytearray) -> None:
    while read := os.read(descriptor, 1 << 16):
        found += read


@given(st.floats(0, 4_000_000_000, allow_nan=False))
def test_times_are_utc_to_the_millisecond(at: float) -> None:
    moment = datetime.datetime.fromtimestamp(int(at), datetime.UTC)
    expected = f"{moment:%Y-%m-%dT%H:%M:%S}.{int((at - int(at)) * 1000):03d}Z"
    assert JsonLines(sys.stderr.fileno()).now(at) == expected


def test_the_text_of_a_second_is_not_kept_for_another() -> None:
    lines = JsonLines()
    assert lines.now(0.999) == "1970-01-01T00:00:00.999Z"
    assert lines.now(1_000_000_000.5) == "2001-09-09T01:46:40.500Z"
    assert lines.now(0.0) == "1970-01-01T00:00:00.000Z"
