"""What an open-loop run sends and when: the plan, its arrival times, its request bytes.

All but the number in a request's idempotency key is prepared in advance.
"""

import datetime
import random
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

EXPECTED_STATUS = {"POST": 201, "GET": 200}
DEFAULT_PATH = {"POST": "/v1/payments", "GET": "/v1/loans/{loan_id}/balance"}
ANSWER_SECONDS_MAX = 10
"""How long answers are waited for after the last request was due."""
NS_PER_SECOND = 1_000_000_000


class Loan(NamedTuple):
    loan_id: str
    borrower_id: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. The first `warm_up_seconds` are sent as well and not counted."""

    base_url: str
    token: str
    loans: Sequence[Loan]
    rate: float
    seconds: float
    connections: int = 64
    warm_up_seconds: float = 0.0
    spacing: str = "poisson"
    method: str = "POST"
    path: str | None = None
    amount_minor: str = "100"
    seed: int = 1
    answer_seconds_max: float = ANSWER_SECONDS_MAX

    def __post_init__(self) -> None:
        """Raises ValueError that says what cannot be used."""
        url = urlsplit(self.base_url)
        if url.scheme != "http" or url.hostname is None:
            raise ValueError(f"{self.base_url!r} is not an http:// URL")
        if not self.loans:
            raise ValueError("there is no loan to send requests for")
        if self.method not in EXPECTED_STATUS:
            raise ValueError(f"the method is POST or GET, not {self.method!r}")
        if self.spacing not in ("poisson", "even"):
            raise ValueError(f"the spacing is poisson or even, not {self.spacing!r}")
        if not (self.rate > 0 and self.seconds > 0 and self.connections > 0):
            raise ValueError("rate, seconds and connections must be above zero")
        if self.warm_up_seconds < 0:
            raise ValueError("the warm-up cannot be negative")


def intended_times(plan: Plan) -> Iterator[int]:
    """When each request is due, in nanoseconds from the start."""
    end_ns = int((plan.warm_up_seconds + plan.seconds) * NS_PER_SECOND)
    draw = random.Random(plan.seed)
    at_s, number = 0.0, 0
    while True:
        at_s = (
            at_s + draw.expovariate(plan.rate)
            if plan.spacing == "poisson"
            else (number / plan.rate)
        )
        at_ns = int(at_s * NS_PER_SECOND)
        if at_ns >= end_ns:
            return
        yield at_ns
        number += 1


class Requests:
    """The bytes of each request; the loans take turns."""

    def __init__(self, plan: Plan) -> None:
        path = plan.path or DEFAULT_PATH[plan.method]
        self._parts = [_request_parts(plan, path, loan) for loan in plan.loans]

    def request(self, number: int) -> bytes:
        before, after = self._parts[number % len(self._parts)]
        return b"%b%d%b" % (before, number, after)


def _request_parts(plan: Plan, path: str, loan: Loan) -> tuple[bytes, bytes]:
    url = urlsplit(plan.base_url)
    target = path.replace("{loan_id}", loan.loan_id)
    head = (
        f"{plan.method} {target} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Authorization: Bearer {plan.token}\r\n"
    )
    if plan.method == "GET":
        return f"{head}X-Request-Number: ".encode(), b"\r\n\r\n"
    body = msgspec.json.encode(
        {
            "loan_id": loan.loan_id,
            "borrower_id": loan.borrower_id,
            "amount_minor": plan.amount_minor,
            "currency": "USD",
            "effective_at": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "source_method": "ach",
        }
    )
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    # a name for each run, so that a second run posts anew
    key = f"Idempotency-Key: payment:{loan.loan_id}:{uuid.uuid4().hex[:12]}:"
    return (head + key).encode(), b"\r\n\r\n" + body
