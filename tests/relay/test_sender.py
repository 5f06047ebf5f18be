"""Where a message may go is judged where its socket is made; what an endpoint does never raises."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from hpts.domain.webhooks import Network
from hpts.relay.sender import NOT_PLAIN, NOT_PUBLIC, Answer, Sender
from tests.conftest import free_port

LOOPBACK: list[Network] = [ipaddress.ip_network("127.0.0.0/8")]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rebinding(AbstractResolver):
    """A name server that answers another address each time."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


def send(
    url: str, allowed: list[Network], handler: Handler | None = None, **options: Any
) -> tuple[Answer, int]:
    """The answer, and how many requests a server on the URL's port saw."""
    seen = 0

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal seen
        seen += 1
        return web.Response() if handler is None else await handler(request)

    async def run() -> Answer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", count)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", urlsplit(url).port).start()
        sender = Sender(url, allowed, **options)
        try:
            return await sender.send({"content-type": "application/json"}, b"{}")
        finally:
            await sender.close()
            await runner.cleanup()

    return asyncio.run(run()), seen


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0", "[::ffff:127.0.0.1]"])
def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    for scheme in ("http", "https"):
        answer, seen = send(f"{scheme}://{host}:{free_port()}/", [])
        refusals = {NOT_PUBLIC if scheme == "https" else NOT_PLAIN}
        if host in ("127.1", "0"):
            refusals = {f"{host} - is not a canonical IPv4 address"}
        assert answer.error in refusals
        assert (answer.status, seen) == (None, 0)


def test_a_name_is_judged_by_the_address_that_is_connected_to() -> None:
    url = f"http://hooks.example.com:{free_port()}/"
    answer, seen = send(url, [], resolver=Rebinding("127.0.0.1"))
    assert (answer.status, seen) == (None, 0)
    assert answer.error == "plain http may not go to the host's address"
    answer, seen = send(url, LOOPBACK, resolver=Rebinding("127.0.0.1"))
    assert (answer, seen) == (Answer(200, None), 1)


def test_a_name_that_is_bound_anew_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sender: the name is of an allowed network at first, then of another. That an earlier
    answer was good is of no account: the socket's own address is."""
    monkeypatch.setattr("hpts.relay.sender.DNS_SECONDS", 0)
    seen: list[str] = []
    port = free_port()

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request.transport.get_extra_info("sockname")[0] if request.transport else "")
        response = web.Response()
        response.force_close()
        return response

    async def run() -> list[Answer]:
        app = web.Application()
        app.router.add_post("/", note)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port).start()
        resolver = Rebinding("127.0.0.2", "127.0.0.1")
        allowed = [ipaddress.ip_network("127.0.0.2/32")]
        url = f"http://hooks.example.com:{port}/"
        sender = Sender(url, allowed, resolver=resolver)
        try:
            return [await sender.send({}, b"{}") for _ in range(2)]
        finally:
            await sender.close()
            await runner.cleanup()

    answers = asyncio.run(run())
    assert answers == [Answer(200, None), Answer(None, NOT_PLAIN)]
    assert seen == ["127.0.0.2"]


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0"]
    + ["224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fd00::1", "fe80::1", "ff02::1"]
    + ["::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:db8::1", "fec0::1"],
)
def test_no_address_that_is_not_public_gets_a_socket(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"https://hooks.example.com:{free_port()}/"
    answer, _ = send(url, [], resolver=Rebinding(address))
    assert answer == Answer(None, NOT_PUBLIC)
    assert f"may not go to {ipaddress.ip_address(address)}" in caplog.text


def test_what_a_tenant_is_told_names_no_address() -> None:
    url = f"http://hooks.example.com:{free_port()}/"

    async def run() -> Answer:  # where nobody listens
        sender = Sender(url, LOOPBACK, resolver=Rebinding("127.0.0.1"))
        try:
            return await sender.send({}, b"{}")
        finally:
            await sender.close()

    assert asyncio.run(run()) == Answer(None, "no connection: Connection refused")


def test_plain_http_goes_to_allowed_networks_only() -> None:
    url = f"http://hooks.example.com:{free_port()}/"
    answer, _ = send(url, LOOPBACK, resolver=Rebinding("93.184.216.34"))
    assert answer == Answer(None, NOT_PLAIN)


def test_a_redirect_is_an_answer_that_does_not_acknowledge() -> None:
    async def redirect(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": "/elsewhere"})

    answer, seen = send(f"http://127.0.0.1:{free_port()}/", LOOPBACK, redirect)
    assert (answer, seen) == (Answer(307, "answered 307"), 1)


def test_a_hanging_endpoint_is_given_up_and_an_endless_answer_is_not_read() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except ConnectionError:
            return response

    url = f"http://127.0.0.1:{free_port()}/"
    assert send(url, LOOPBACK, hang, seconds_max=0.3)[0] == Answer(None, "no answer in time")
    assert send(url, LOOPBACK, flood)[0] == Answer(200, None)


@pytest.mark.parametrize("is_broken_off", [False, True], ids=["stalls", "is broken off"])
def test_a_status_counts_whatever_becomes_of_the_rest_of_the_answer(is_broken_off: bool) -> None:
    async def begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "1000"})
        await response.prepare(request)
        assert request.transport is not None
        if is_broken_off:
            request.transport.close()
        else:
            await asyncio.sleep(60)
        return response

    url = f"http://127.0.0.1:{free_port()}/"
    assert send(url, LOOPBACK, begin, seconds_max=3)[0] == Answer(200, None)


def test_a_compressed_answer_is_not_unpacked() -> None:
    async def squeeze(request: web.Request) -> web.StreamResponse:
        headers = {"content-encoding": "gzip"}
        return web.Response(body=b"no gzip at all", headers=headers)

    answer, _ = send(f"http://127.0.0.1:{free_port()}/", LOOPBACK, squeeze)
    assert answer == Answer(200, None)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:9")
    answer, seen = send(f"http://127.0.0.1:{free_port()}/", LOOPBACK)
    assert (answer, seen) == (Answer(200, None), 1)
