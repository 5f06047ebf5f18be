"""Signatures against the published example, retry times within their bounds, addresses that are not
public."""

import base64
import ipaddress

import pytest

from hpts.domain import limits
from hpts.domain.webhooks import format_secret, is_allowed, retry_after_ms, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_signature_is_the_one_of_the_specification() -> None:
    secret = base64.b64decode(SECRET.removeprefix("whsec_"))
    body = b'{"test": 2432232314}'
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body) == signature
    assert sign([secret, secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body) == (
        f"{signature} {signature}"
    )
    assert format_secret(secret) == SECRET


@pytest.mark.parametrize("count", [1, 2, 5, 12, 13, 1_000])
def test_a_retry_waits_between_half_and_the_whole_of_a_doubled_time(count: int) -> None:
    whole = min(limits.WEBHOOK_RETRY_MS_MAX, limits.WEBHOOK_RETRY_MS_MIN * 2 ** (count - 1))
    assert retry_after_ms(count, 0) == whole // 2
    assert whole // 2 < retry_after_ms(count, 500) < retry_after_ms(count, 999) < whole


@pytest.mark.parametrize(
    "address",
    ["fec0::1", "3fff::1", "5f00::1", "64:ff9b:1::a00:1", "64:ff9b::c000:8", "::a00:1"]
    + ["192.0.0.8", "192.88.99.1", "198.18.0.1", "240.0.0.1", "::ffff:192.0.0.8"]
    + ["2001:0:a00:1::1", "2002:c058:6301::", "2001:2::1", "::ffff:0:a00:1", "100::1"],
)
def test_an_address_for_a_special_purpose_is_not_public(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), [])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_any_other_address_is_public(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), [])
