"""Partners are refused unless they came over mutual TLS, bound tokens without their certificate."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hpts.domain import limits
from hpts.http.auth import Principal, TokenRefused
from hpts.http.client_certificate import ORDINARY, UNNAMED_PARTNER, Arrival, Entrance
from hpts.http.partners import TenantMarks, check_binding
from hpts.http.rate_limit import NO_LIMITS, RateLimits
from hpts.store.wire import ConnectionLost
from tests.certificates import Authority, Issued
from tests.clock import Clock
from tests.http.asgi import Answer, StubVerifier, answer

PROXY = "192.0.2.10"
TENANT = b"t" * 16
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")


@pytest.fixture(scope="module")
def partners(tmp_path_factory: pytest.TempPathFactory) -> tuple[Issued, Issued]:
    authority = Authority(tmp_path_factory.mktemp("authority"), "Partners")
    return authority.issue("one"), authority.issue("another")


def principal(thumbprint: bytes | None) -> Principal:
    return Principal(TENANT, "t", "teller", frozenset(), 0.0, thumbprint)


def test_a_token_that_is_not_bound_is_good_however_it_comes() -> None:
    for arrival in (ORDINARY, UNNAMED_PARTNER, Arrival(True, b"x" * 32)):
        check_binding(principal(None), arrival)


def test_a_bound_token_is_good_with_its_certificate_only() -> None:
    check_binding(principal(b"x" * 32), Arrival(True, b"x" * 32))
    reasons = []
    for arrival in (Arrival(True, b"y" * 32), UNNAMED_PARTNER, ORDINARY):
        with pytest.raises(TokenRefused) as refused:
            check_binding(principal(b"x" * 32), arrival)
        assert DESCRIPTION.fullmatch(refused.value.reason)
        assert refused.value.advice
        reasons.append(refused.value.reason)
    another, unknown, none = reasons
    assert "another certificate" in another
    assert "use the TLS proxy" in unknown and "does not know" in unknown
    assert "without one" in none


def call(
    *headers: tuple[bytes, bytes],
    token: str = "good",
    entrance: Entrance | None = None,
    read_mark: Callable[[bytes], Awaitable[bool | None]] | None = None,
    peer: str = "192.0.2.99",
    rate_limits: RateLimits = NO_LIMITS,
    **facts: Any,
) -> Answer:
    """What the closed operation answers."""
    how: dict[str, Any] = {} if read_mark is None else {"read_mark": read_mark}
    authorization = (b"authorization", f"Bearer {token}".encode())
    verifier = StubVerifier(**facts)
    return answer(
        path="/v1/closed", headers=[authorization, *headers], verifier=verifier,
        entrance=entrance, peer=peer, rate_limits=rate_limits, **how,
    )  # fmt: skip


def said(mark: bool | None) -> Callable[[bytes], Awaitable[bool | None]]:
    async def read(tenant_id: bytes) -> bool | None:
        assert tenant_id == TENANT
        return mark

    return read


def behind_proxy() -> Entrance:
    return Entrance(is_for_partners=False, trusted_proxies=(PROXY,))


def test_a_marked_tenant_is_refused_on_the_ordinary_listener() -> None:
    found = call(read_mark=said(True))
    assert (found.status, found.problem["code"]) == (403, "mtls_required")
    assert "client certificate" in found.problem["detail"]
    assert call(read_mark=said(False)).status == 200


def test_a_marked_client_is_refused_on_the_ordinary_listener_whatever_its_tenant() -> None:
    async def nobody_asks(tenant_id: bytes) -> bool | None:
        raise AssertionError("the client alone decides")

    found = call(read_mark=nobody_asks, is_partner_client=True)
    assert found.problem["code"] == "mtls_required"


def test_a_tenant_that_does_not_exist_is_left_to_the_ledger() -> None:
    assert call(read_mark=said(None)).status == 200  # the handler's own query would refuse it


def test_a_flood_of_a_tenant_that_does_not_exist_asks_the_database_no_more_than_its_rate() -> None:
    asked = []

    async def read(tenant_id: bytes) -> bool | None:
        asked.append(tenant_id)
        return None

    rate_limits = RateLimits(writes=1, reads=None)
    statuses = [call(read_mark=read, rate_limits=rate_limits).status for _ in range(10)]
    assert statuses[0] == 200
    assert statuses.count(429) > 5
    assert len(asked) == statuses.count(200)


def test_a_marked_client_is_refused_before_its_rate_counts() -> None:
    rate_limits = RateLimits(writes=1, reads=None)
    for _ in range(3):
        found = call(rate_limits=rate_limits, is_partner_client=True)
        assert found.problem["code"] == "mtls_required"
    assert call(rate_limits=rate_limits).status == 200


def test_partners_pass_on_their_listener(partners: tuple[Issued, Issued]) -> None:
    entrance = Entrance(is_for_partners=True)
    assert call(entrance=entrance, read_mark=said(True)).status == 200
    assert call(entrance=entrance, is_partner_client=True).status == 200


def test_partners_pass_behind_the_proxy_and_nobody_forges_that(
    partners: tuple[Issued, Issued],
) -> None:
    header = (b"client-cert", partners[0].header.encode())
    how: dict[str, Any] = {"entrance": behind_proxy(), "read_mark": said(True)}
    assert call(header, peer=PROXY, **how).status == 200
    assert call(header, **how).problem["code"] == "mtls_required"
    assert call(peer=PROXY, **how).problem["code"] == "mtls_required"


def test_a_bound_token_behind_the_proxy(partners: tuple[Issued, Issued]) -> None:
    one, another = partners
    how: dict[str, Any] = {"entrance": behind_proxy(), "thumbprint": one.thumbprint}
    assert call((b"client-cert", one.header.encode()), peer=PROXY, **how).status == 200
    for headers, peer in (
        ([(b"client-cert", another.header.encode())], PROXY),
        ([], PROXY),
        ([(b"client-cert", one.header.encode())], "192.0.2.99"),
    ):
        found = call(*headers, peer=peer, **how)
        assert (found.status, found.problem["code"]) == (401, "unauthorized")
        challenge = found.headers[b"www-authenticate"].decode()
        assert challenge.startswith('Bearer error="invalid_token", error_description="the token is')
        assert "certificate" in found.problem["detail"]


def test_a_bound_token_on_the_partners_listener_is_refused_and_told_where_to_go(
    partners: tuple[Issued, Issued],
) -> None:
    found = call(entrance=Entrance(is_for_partners=True), thumbprint=partners[0].thumbprint)
    assert found.status == 401
    assert b"use the TLS proxy" in found.headers[b"www-authenticate"]
    assert "TLS proxy" in found.problem["detail"]


def test_a_proxys_header_that_cannot_be_read_is_400_and_says_whose_fault_it_is() -> None:
    found = call((b"client-cert", b"unreadable"), entrance=behind_proxy(), peer=PROXY)
    assert found.problem["code"] == "bad_request"
    assert "proxy" in found.problem["detail"]
    assert found.problem["errors"][0]["field"] == "Client-Cert"


def test_the_token_comes_first_then_its_certificate_then_scope_then_the_way() -> None:
    rubbish = (b"client-cert", b"unreadable")
    how: dict[str, Any] = {"entrance": behind_proxy(), "peer": PROXY, "read_mark": said(True)}
    assert call(rubbish, token="bad", **how).status == 401
    assert call(rubbish, token="poor", **how).status == 400
    assert call(token="poor", thumbprint=b"x" * 32, **how).status == 401
    assert call(token="poor", **how).problem["code"] == "insufficient_scope"
    assert call(**how).problem["code"] == "mtls_required"


def test_a_mark_that_cannot_be_read_refuses() -> None:
    async def away(tenant_id: bytes) -> bool | None:
        raise ConnectionLost("away")

    assert call(read_mark=away).problem["code"] == "database_unavailable"


class Database:
    """What `read` is to answer, and how often it was asked; `hold` keeps it from answering."""

    def __init__(self) -> None:
        self.mark: bool | None = False
        self.error: Exception | None = None
        self.asked = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def read(self, tenant_id: bytes) -> bool | None:
        self.asked += 1
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        return self.mark


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_mark_counts_within_five_seconds_and_costs_no_query_a_request() -> None:
    async def scenario() -> None:
        clock, database = Clock(), Database()
        marks = TenantMarks(database.read, clock=clock)
        assert marks.find(TENANT) is None
        assert await marks.ask(TENANT) is False
        for _ in range(1000):
            assert marks.find(TENANT) is False
        assert database.asked == 1
        database.mark = True
        clock.now += limits.RECENT_REFRESH_SECONDS
        assert marks.find(TENANT) is False, "asked for behind the request's back"
        await turns()
        assert database.asked == 2
        assert marks.find(TENANT) is True

    asyncio.run(scenario())


def test_a_mark_that_is_too_old_counts_no_more_though_nothing_newer_is_known() -> None:
    async def scenario() -> None:
        clock, database = Clock(), Database()
        marks = TenantMarks(database.read, clock=clock)
        await marks.ask(TENANT)
        database.error = ConnectionLost("away")
        clock.now += limits.RECENT_SECONDS_MAX - 0.1
        assert marks.find(TENANT) is False
        await turns()
        clock.now += 0.1
        assert marks.find(TENANT) is None
        with pytest.raises(ConnectionLost):
            await marks.ask(TENANT)
        database.error = None
        assert await marks.ask(TENANT) is False

    asyncio.run(scenario())


def test_the_age_counts_from_the_question_not_from_the_answer() -> None:
    async def scenario() -> None:
        clock, database = Clock(), Database()
        marks = TenantMarks(database.read, clock=clock)
        database.hold.clear()
        asking = asyncio.ensure_future(marks.ask(TENANT))
        await turns()
        clock.now += limits.RECENT_SECONDS_MAX
        database.hold.set()
        await asking
        assert marks.find(TENANT) is None

    asyncio.run(scenario())


def test_who_asks_meanwhile_shares_the_answer_and_one_that_hangs_up_takes_nothing_away() -> None:
    async def scenario() -> None:
        database = Database()
        marks = TenantMarks(database.read)
        database.hold.clear()
        asking = [asyncio.ensure_future(marks.ask(TENANT)) for _ in range(50)]
        await turns()
        asking[0].cancel()
        database.hold.set()
        assert await asyncio.gather(*asking[1:]) == [False] * 49
        assert database.asked == 1

    asyncio.run(scenario())


def test_a_tenant_that_does_not_exist_is_not_remembered() -> None:
    async def scenario() -> None:
        database = Database()
        database.mark = None
        marks = TenantMarks(database.read)
        assert await marks.ask(TENANT) is None
        assert marks.find(TENANT) is None

    asyncio.run(scenario())


def test_marks_are_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECENT_TENANTS_MAX", 3)

    async def scenario() -> None:
        marks = TenantMarks(Database().read)
        tenants = [bytes([number]) * 16 for number in range(5)]
        for tenant in tenants:
            await marks.ask(tenant)
        assert [marks.find(tenant) for tenant in tenants] == [None, None, False, False, False]

    asyncio.run(scenario())
