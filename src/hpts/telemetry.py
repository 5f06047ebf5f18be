"""Logs: one JSON line per request and per event, on standard error, written in batches.

Never a token, a body or an amount. A line that cannot be written is dropped: logging never stops a
posting.
"""

import datetime
import json
import logging
import os
import select
import sys
import threading
import time
from typing import Any

import msgspec

logger = logging.getLogger("hpts")

FLUSH_SECONDS = 0.05
BUFFER_BYTES_MAX = 4 * 1024 * 1024


class RequestLine(msgspec.Struct, omit_defaults=True):
    """One answered request. Times are UTC, durations milliseconds."""

    time: str
    level: str
    method: str
    route: str
    status: int
    duration_ms: float
    trace_id: str
    tenant: str | None = None
    code: str | None = None


class JsonLines(logging.Handler):
    """Writes log records as JSON lines to a file descriptor, from a thread of its own.

    A reader of the log that is slow or gone therefore stops nothing; past BUFFER_BYTES_MAX lines
    are dropped, and their number is logged when there is room again.
    """

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._dropped = 0
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._has_lines = threading.Event()
        self._writer: threading.Thread | None = None
        self._encoder = msgspec.json.Encoder()
        self._second = (0, "1970-01-01T00:00:00")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line_of(record)
        except Exception:  # arguments that do not fit, an error that cannot be shown
            line = {"time": self.now(), "level": "error", "message": str(record.msg)}
        self.add(json.dumps(line).encode() + b"\n")

    def _line_of(self, record: logging.LogRecord) -> dict[str, Any]:
        line: dict[str, Any] = {
            "time": self.now(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        trace_id = getattr(record, "trace_id", None)
        if trace_id:
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = logging.Formatter().formatException(record.exc_info)
        return line

    def request(self, line: RequestLine) -> None:
        """Add the line of an answered request; written within FLUSH_SECONDS."""
        self.add(self._encoder.encode(line) + b"\n")

    def add(self, line: bytes) -> None:
        with self._guard:
            if len(self._buffer) + len(line) > BUFFER_BYTES_MAX:
                self._dropped += 1
                return
            self._buffer += line
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_for_ever, daemon=True)
                self._writer.start()
        if not self._has_lines.is_set():
            self._has_lines.set()

    def flush(self) -> None:
        """Write what is buffered, now."""
        with self._writing:
            pending = self._take()
            start = 0
            try:
                while start < len(pending):
                    end = _end_of_whole_lines(pending, start)
                    start += os.write(self._descriptor, pending[start:end])
            except OSError:
                return  # nobody reads it any more

    def _take(self) -> bytes:
        with self._guard:
            self._has_lines.clear()
            pending, self._buffer = bytes(self._buffer), bytearray()
            dropped, self._dropped = self._dropped, 0
        if dropped:
            line = {"time": self.now(), "level": "warning", "message": f"dropped {dropped} lines"}
            pending += json.dumps(line).encode() + b"\n"
        return pending

    def _write_for_ever(self) -> None:
        while True:
            self._has_lines.wait()
            time.sleep(FLUSH_SECONDS)
            self.flush()

    def now(self, at: float | None = None) -> str:
        """The instant in RFC 3339, UTC, milliseconds. The second's text is made once a second."""
        instant = time.time() if at is None else at
        second, text = self._second
        if int(instant) != second:
            second = int(instant)
            text = datetime.datetime.fromtimestamp(second, datetime.UTC).strftime(
                "%Y-%m-%dT%H:%M:%S"
            )
            self._second = (second, text)
        return f"{text}.{int((instant - second) * 1000):03d}Z"


def _end_of_whole_lines(pending: bytes, start: int) -> int:
    """Where one write ends: a pipe keeps PIPE_BUF bytes together, so that the lines of several
    workers do not mix; only a longer line goes alone."""
    end = start + select.PIPE_BUF
    if end >= len(pending):
        return len(pending)
    return pending.rfind(b"\n", start, end) + 1 or pending.find(b"\n", start) + 1


def configure_logging(level: str) -> JsonLines:
    """Send the package's log to standard error as JSON lines, from `level` up."""
    sys.stderr.flush()
    handler = JsonLines()
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler
