"""Signatures against the published example, retry times within their bounds."""

import base64

import pytest

from hpts.domain import limits
from hpts.domain.webhooks import format_secret, retry_after_ms, sign

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
