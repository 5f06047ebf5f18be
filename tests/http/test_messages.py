"""A body is bounded in time as it is in size."""

import asyncio
from typing import Any

import pytest

from hpts.http import messages
from hpts.http.messages import Request
from hpts.http.problems import ProblemRaised


def test_a_client_that_stalls_its_body_is_refused_and_the_connection_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(messages, "BODY_SECONDS_MAX", 0.02)
    sent = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> dict[str, Any]:
        for message in sent:
            return message
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    request = Request({"headers": []}, receive, {}, "00" * 16)
    with pytest.raises(ProblemRaised) as raised:
        asyncio.run(request.read_body(1024))
    assert raised.value.code == "bad_request"
    assert (b"connection", b"close") in raised.value.headers
