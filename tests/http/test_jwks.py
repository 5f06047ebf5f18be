"""How the key set is loaded, refreshed and kept: a real HTTP server on loopback, clocks by hand.

No test waits for a cool-down or a refresh in real time.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hpts.http import jwks
from hpts.http.jwks import KeySet, KeySource, load
from hpts.http.kept_keys import KeptKeys
from tests.clock import Clock

from .signing_keys import EC_JWK, ED_JWK, RSA_JWK


class Issuer:
    """A key set endpoint whose answer a test sets; `hold` keeps it from answering."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.requests = 0
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                outer.hold.wait(30)
                self.send_response(outer.status)
                headers = {"Content-Length": str(len(outer.body))} | outer.headers
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"

    def publish(self, *keys: Any) -> None:
        self.status, self.headers = 200, {}
        self.body = json.dumps({"keys": keys}).encode()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    found.publish(RSA_JWK)
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.hold.set()
    found.server.shutdown()
    found.server.server_close()
    thread.join()


async def until(met: Callable[[], bool]) -> None:
    for _ in range(2500):
        if met():
            return
        await asyncio.sleep(0.002)
    raise TimeoutError("did not come to pass within 5 seconds")


def run(scenario: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(bounded())


def test_start_loads_the_set_over_http(issuer: Issuer) -> None:
    async def scenario() -> None:
        source = KeySource(issuer.url)
        assert source.current is None
        await source.start()
        assert source.current is not None and source.current.knows("rsa")
        await source.stop()
        assert source.current.find("rsa", "RS256"), "the set outlives the background work"

    run(scenario())


def test_a_file_url_is_read(tmp_path: Path) -> None:
    path = tmp_path / "key set é.json"
    path.write_text(json.dumps({"keys": [EC_JWK]}))
    assert load(path.as_uri()).knows("ec")


def test_a_source_that_starts_while_the_issuer_is_away_has_what_another_kept(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        kept = KeptKeys(jwks.KEY_SET_BYTES_MAX)
        first = KeySource(issuer.url, kept=kept)
        await first.refetch()
        issuer.status = 503
        clock = Clock()
        later = KeySource(issuer.url, kept=kept, clock=clock)
        await later.refetch()
        assert later.current is not None and later.current.knows("rsa")
        issuer.publish(EC_JWK)
        clock.now += 11
        await later.refetch()
        assert later.current.knows("ec") and not later.current.knows("rsa")

    with caplog.at_level(logging.WARNING, logger="hpts"):
        run(scenario())
    assert "the last good one stays" in caplog.text


def test_start_with_the_issuer_away_only_warns(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        source = KeySource("http://127.0.0.1:9/jwks.json")
        await source.start()
        assert source.current is None
        await source.stop()

    with caplog.at_level(logging.WARNING, logger="hpts"):
        run(scenario())
    assert "none was loaded yet" in caplog.text


def make_unusable(issuer: Issuer, how: str) -> None:
    redirect = {"Location": issuer.url + "?again"}
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {
        "server error": (500, {}, b"oops"),
        "not found": (404, {}, b'{"keys": []}'),
        "redirect": (302, redirect, b""),
        "html": (200, {}, b"<html>maintenance</html>"),
        "no keys member": (200, {}, b'{"error": "later"}'),
        "keys not a list": (200, {}, b'{"keys": {}}'),
        "deeply nested": (200, {}, b'{"keys": ' + b"[" * 100_000),
        "truncated": (200, {"Content-Length": "99999"}, issuer.body),
        "too large": (200, {}, b'{"keys": []}' + b" " * jwks.KEY_SET_BYTES_MAX),
        "empty": (204, {}, b""),
    }
    issuer.status, issuer.headers, issuer.body = answers[how]


@pytest.mark.parametrize(
    "how",
    [
        "server error",
        "not found",
        "redirect",
        "html",
        "no keys member",
        "keys not a list",
        "deeply nested",
        "truncated",
        "too large",
        "empty",
    ],
)
def test_an_issuer_that_answers_nonsense_leaves_the_last_good_set(
    issuer: Issuer, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        clock = Clock()
        source = KeySource(issuer.url, clock=clock)
        await source.refetch()
        good = source.current
        make_unusable(issuer, how)
        clock.now += 11
        await source.refetch()
        assert issuer.requests == 2, "a redirect is not followed"
        assert good is not None and source.current is good
        issuer.publish(EC_JWK)
        clock.now += 11
        await source.refetch()
        assert source.current.knows("ec") and not source.current.knows("rsa")

    with caplog.at_level(logging.WARNING, logger="hpts"):
        run(scenario())
    assert "the last good one stays" in caplog.text


def test_an_issuer_that_is_away_leaves_the_last_good_set(issuer: Issuer) -> None:
    async def scenario() -> None:
        clock = Clock()
        source = KeySource(issuer.url, clock=clock)
        await source.refetch()
        issuer.server.socket.close()
        clock.now += 11
        await source.refetch()
        assert source.current is not None and source.current.knows("rsa")

    run(scenario())


def test_an_issuer_that_hangs_is_given_up_and_blocks_nothing(issuer: Issuer) -> None:
    async def scenario() -> None:
        source = KeySource(issuer.url, fetch_seconds_max=0.15)
        issuer.hold.clear()
        fetch = asyncio.create_task(source.refetch())
        await until(lambda: issuer.requests == 1)
        turns = 0
        while not fetch.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 20, "the loop turned while the issuer hung"
        assert source.current is None

    run(scenario())


def test_a_set_without_usable_keys_is_the_issuers_word(issuer: Issuer) -> None:
    async def scenario() -> None:
        clock = Clock()
        source = KeySource(issuer.url, clock=clock)
        await source.refetch()
        issuer.publish()
        clock.now += 11
        await source.refetch()
        assert source.current is not None and len(source.current) == 0

    run(scenario())


def test_fetches_keep_the_cool_down_after_success_and_failure(issuer: Issuer) -> None:
    async def scenario() -> None:
        clock = Clock()
        source = KeySource(issuer.url, cool_down_seconds=10, clock=clock)
        for status in (200, 500, 200):
            issuer.status = status
            before = issuer.requests
            for _ in range(5):
                await source.refetch()
            clock.now += 9.9
            await source.refetch()
            assert issuer.requests == before + 1
            clock.now += 0.2

    run(scenario())


def test_callers_at_the_same_time_share_one_fetch(issuer: Issuer) -> None:
    async def scenario() -> None:
        source = KeySource(issuer.url)
        issuer.hold.clear()
        callers = [asyncio.create_task(source.refetch()) for _ in range(50)]
        await until(lambda: issuer.requests == 1)
        callers[0].cancel()
        issuer.hold.set()
        await asyncio.gather(*callers[1:])
        assert callers[0].cancelled() or callers[0].done()
        assert issuer.requests == 1
        assert source.current is not None, "one that hangs up does not end it for the others"

    run(scenario())


def test_the_background_refresh_picks_up_a_rotation(issuer: Issuer) -> None:
    async def scenario() -> None:
        source = KeySource(issuer.url, refresh_seconds=0.02, cool_down_seconds=0.01)
        await source.start()
        issuer.publish(RSA_JWK, EC_JWK)
        await until(lambda: source.current is not None and source.current.knows("ec"))
        issuer.publish(EC_JWK)
        await until(lambda: source.current is not None and not source.current.knows("rsa"))
        await source.stop()

    run(scenario())


def test_the_background_refresh_outlives_failures(issuer: Issuer) -> None:
    async def scenario() -> None:
        issuer.status = 503
        source = KeySource(issuer.url, refresh_seconds=300, cool_down_seconds=0.01)
        await source.start()
        await until(lambda: issuer.requests >= 3)
        issuer.publish(EC_JWK)
        await until(lambda: source.current is not None)
        await source.stop()

    run(scenario())


def test_unknown_kids_without_end_do_not_flood_the_issuer(issuer: Issuer) -> None:
    async def scenario() -> None:
        clock = Clock()
        source = KeySource(issuer.url, clock=clock)
        await source.refetch()
        for _ in range(600):  # a minute of them, ten callers at a time
            clock.now += 0.1
            await asyncio.gather(*(source.refetch() for _ in range(10)))
        assert issuer.requests <= 1 + 60 / jwks.COOL_DOWN_SECONDS
        assert issuer.requests > 5, "and a new key is found all the same"

    run(scenario())


def test_the_set_is_another_object_only_when_its_keys_have_changed(issuer: Issuer) -> None:
    async def scenario() -> None:
        clock = Clock()
        source = KeySource(issuer.url, clock=clock)
        issuer.publish(RSA_JWK, EC_JWK, ED_JWK)
        await source.refetch()
        first = source.current
        for keys, is_same in (
            ((RSA_JWK, EC_JWK, ED_JWK), True),
            ((RSA_JWK | {"x5c": []}, EC_JWK, ED_JWK), True),  # nothing that we go by
            ((RSA_JWK | {"alg": "RS256"}, EC_JWK, ED_JWK), False),
            ((RSA_JWK | {"kid": "new"}, EC_JWK, ED_JWK), False),
            ((EC_JWK | {"kid": "rsa"}, EC_JWK, ED_JWK), False),
            ((RSA_JWK, EC_JWK), False),
            ((), False),
        ):
            issuer.publish(*keys)
            clock.now += 11
            await source.refetch()
            assert (source.current is first) is is_same, keys
            if not is_same:
                issuer.publish(RSA_JWK, EC_JWK, ED_JWK)
                clock.now += 11
                await source.refetch()
                first = source.current

    run(scenario())


def test_stop_ends_a_fetch_under_way(issuer: Issuer) -> None:
    async def scenario() -> None:
        source = KeySource(issuer.url)
        issuer.hold.clear()
        fetch = asyncio.create_task(source.refetch())
        await until(lambda: issuer.requests == 1)
        await source.stop()
        with pytest.raises(asyncio.CancelledError):
            await fetch
        assert source.current is None
        issuer.hold.set()

    run(scenario())


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "data:,{}", "/etc/hostname", "http://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises((OSError, ValueError)):
        load(url)


def test_only_what_the_issuer_itself_says_anew_is_noted(issuer: Issuer) -> None:
    noted: list[KeySet] = []
    kept = KeptKeys(10_000)
    kept.keep(json.dumps({"keys": [EC_JWK]}).encode())

    async def scenario() -> None:
        source = KeySource(issuer.url, cool_down_seconds=0, kept=kept, note=noted.append)
        issuer.status = 503
        await source.refetch()
        assert source.current is not None, "the kept keys count"
        assert noted == [], "and are nobody's word now"
        for keys in ((RSA_JWK,), (RSA_JWK,), (RSA_JWK, ED_JWK), (ED_JWK,)):
            issuer.publish(*keys)
            await source.refetch()

    asyncio.run(scenario())
    found = [sorted(str(kid) for kid in keys.kids_by_fingerprint().values()) for keys in noted]
    assert found == [["rsa"], ["ed", "rsa"], ["ed"]]
