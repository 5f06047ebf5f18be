"""Logs: one JSON line per request and per event, on standard error, written in batches.

Never a token, a body or an amount. A line that cannot be written is dropped: logging never stops a
posting.
"""

import datetime
import json
import logging
import os
import sys
import threading
import time
from typing import Any

import msgspec

logger = logging.getLogger("hpts")

FLUSH_SECONDS = 0.05
BUFFER_BYTES_MAX = 64 * 1024


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
    """Writes log records as JSON lines to a file descriptor, buffered for at most FLUSH_SECONDS."""

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._encoder = msgspec.json.Encoder()
        self._second = -1
        self._second_text = ""
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line_of(record)
        except Exception:  # arguments that do not fit, an error that cannot be shown
            line = {"time": self.now(), "level": "error", "message": str(record.msg)}
        self.add(json.dumps(line).encode() + b"\n")
        self.flush()

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
            self._buffer += line
            is_full = len(self._buffer) >= BUFFER_BYTES_MAX
            if self._timer is None and not is_full:
                self._timer = threading.Timer(FLUSH_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if is_full:
            self.flush()

    def flush(self) -> None:
        with self._writing:  # a pipe may take half a line, and another thread's must not follow it
            with self._guard:
                pending, self._buffer = self._buffer, bytearray()
                self._timer = None
            view = memoryview(pending)
            try:
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                return  # a closed or full pipe must not stop a posting

    def now(self, at: float | None = None) -> str:
        """The instant in RFC 3339, UTC, milliseconds. The second's text is made once a second."""
        instant = time.time() if at is None else at
        second = int(instant)
        if second != self._second:
            moment = datetime.datetime.fromtimestamp(second, datetime.UTC)
            self._second_text = moment.strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._second_text}.{int((instant - second) * 1000):03d}Z"


def configure_logging(level: str) -> JsonLines:
    """Send the package's log to standard error as JSON lines, from `level` up."""
    sys.stderr.flush()
    handler = JsonLines()
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler
