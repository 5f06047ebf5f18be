"""A body is bounded in time as it is in size."""

import asyncio
from typing import Any

import pytest

from hpts.http.problems import ProblemRaised
from tests.http.asgi import request_of


async def stall() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def test_a_client_that_stalls_its_body_is_refused_and_the_connection_closed() -> None:
    sent = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> dict[str, Any]:
        return next(sent, None) or await stall()

    request = request_of(receive=receive, body_seconds_max=0.02)
    with pytest.raises(ProblemRaised) as raised:
        asyncio.run(request.read_body(1024))
    assert raised.value.code == "bad_request"
    assert ("connection", "close") in raised.value.headers


def test_whoever_sends_in_time_is_left_alone_while_others_stall() -> None:
    async def scenario() -> list[Any]:
        slow = request_of(receive=stall, body_seconds_max=0.2)
        reading = asyncio.ensure_future(slow.read_body(9))
        await asyncio.sleep(0.1)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.15)  # in time, though the other's ends meanwhile
            return {"type": "http.request", "body": b"whole"}

        fast = request_of(receive=receive, body_seconds_max=0.2)
        fast._watch = slow._watch
        return await asyncio.gather(reading, fast.read_body(9), return_exceptions=True)

    stalled, whole = asyncio.run(scenario())
    assert isinstance(stalled, ProblemRaised)
    assert whole == b"whole"


def test_a_request_that_is_cancelled_for_another_reason_stays_cancelled() -> None:
    async def scenario() -> None:
        request = request_of(receive=stall, body_seconds_max=5)
        reading = asyncio.ensure_future(request.read_body(9))
        await asyncio.sleep(0)
        reading.cancel()
        await reading

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())
