"""Trace ids: W3C traceparent is honoured and answered; X-Trace-Id was, until its last day."""

import datetime
import random
import re
from collections.abc import Callable

from hpts.http.messages import Headers

TRACEPARENT = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
X_TRACE_ID = re.compile(r"[A-Za-z0-9\-]{8,128}")
X_TRACE_ID_LAST_DAY = datetime.date(2026, 10, 1)


def read_trace(headers: Headers, today: Callable[[], datetime.date]) -> tuple[str, str]:
    """(trace id, the traceparent to answer). A header that does not parse starts a new trace, as
    the W3C recommendation says; `today` gives the server's UTC day."""
    # Identifiers, no secrets: a system call for each would cost more than the rest of the trace.
    fresh = "%048x" % random.getrandbits(192)
    span = fresh[:16]
    given = headers.get("traceparent")
    match = TRACEPARENT.fullmatch(given) if given is not None else None
    if match and match[1] != "ff" and match[2].strip("0") and match[3].strip("0"):
        is_bare = match[1] != "00" or match[5] is None  # version 00 has exactly four fields
        if is_bare:
            return match[2], f"00-{match[2]}-{span}-{match[4]}"
    trace_id = fresh[16:]
    answered = f"00-{trace_id}-{span}-00"
    legacy = headers.get("x-trace-id")
    if legacy is not None and X_TRACE_ID.fullmatch(legacy) and today() <= X_TRACE_ID_LAST_DAY:
        return legacy, answered
    return trace_id, answered
