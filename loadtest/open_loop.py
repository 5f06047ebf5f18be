"""Payments (or reads) at a fixed arrival rate, timed from when each *should* have been sent.

A server that stalls is so charged with every request that would have come meanwhile. Statuses
are checked, bodies are not: that is what the locust scenarios are for.
Run `python -m loadtest.open_loop --help`; in a program call `run(plan)`.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from loadtest.arrivals import (
    DEFAULT_PATH,
    EXPECTED_STATUS,
    NS_PER_SECOND,
    Loan,
    Plan,
    Requests,
    intended_times,
)
from loadtest.histogram import Histogram
from loadtest.keep_alive import KeepAliveConnection
from loadtest.precise_timer import PreciseTimer

RECONNECT_SECONDS = 0.05
START_SECONDS = 0.05


class Result(msgspec.Struct, frozen=True):
    """Times are from the intended send; an error counts with the time until it was known.

    `offered_per_second` is what came of the rate: Poisson arrivals vary around it. Achieved are the
    expected answers, over a time that ends with the last of them where that was late.

    `lateness` is the actual send less the intended one. `generator_lateness` leaves out the wait
    for a free connection: where it is not far below the latencies, the generator was too slow.
    """

    offered_per_second: float
    achieved_per_second: float
    intended: int
    sent: int
    answered: int
    errors: dict[str, int]
    waited_for_connection: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None
    lateness_p99_ms: float | None
    generator_lateness_p99_ms: float | None


async def run(plan: Plan) -> Result:
    """Carry the plan out. Raises OSError when the server cannot be reached at the start."""
    return await _Generator(plan).run()


class _Generator:
    """Sends when due on a free connection, else as soon as one is free, in order."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._expected = EXPECTED_STATUS[plan.method]
        self._requests = Requests(plan)
        self._loop = asyncio.get_running_loop()
        self._free: deque[KeepAliveConnection] = deque()
        self._connections: set[KeepAliveConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._due: deque[tuple[int, int]] = deque()
        """(number, intended) of what waits for a connection."""
        self._under_way = 0
        self._is_scheduled = False
        self._is_over = False
        self._finished = asyncio.Event()
        self._timer = PreciseTimer(self._loop, self._send_what_is_due)
        self._latencies, self._lateness, self._own_lateness = Histogram(), Histogram(), Histogram()
        self._intended = self._sent = self._answered = self._good = self._waited = 0
        self._errors: Counter[str] = Counter()

    async def run(self) -> Result:
        try:
            opened = await asyncio.gather(
                *(self._open() for _ in range(self._plan.connections)), return_exceptions=True
            )
            for failure in filter(None, opened):
                raise failure
            await self._send_all()
        finally:
            await self._stop()
        return self._result()

    async def _send_all(self) -> None:
        started_ns = time.monotonic_ns() + int(START_SECONDS * NS_PER_SECOND)
        self._measured_from_ns = started_ns + int(self._plan.warm_up_seconds * NS_PER_SECOND)
        self._last_answer_ns = self._measured_from_ns + int(self._plan.seconds * NS_PER_SECOND)
        deadline_ns = self._last_answer_ns + int(self._plan.answer_seconds_max * NS_PER_SECOND)
        self._schedule = enumerate(started_ns + at_ns for at_ns in intended_times(self._plan))
        self._next = next(self._schedule, None)
        self._send_what_is_due()
        try:
            async with asyncio.timeout((deadline_ns - time.monotonic_ns()) / NS_PER_SECOND):
                await self._finished.wait()
        except TimeoutError:
            self._give_up()

    def connected(self, connection: KeepAliveConnection) -> None:
        self._connections.add(connection)
        self._use(connection)

    def answered(self, connection: KeepAliveConnection, status: int) -> None:
        self._settle(connection.intended_ns, None if status == self._expected else str(status))
        if connection.is_open:
            self._use(connection)

    def lost(self, connection: KeepAliveConnection) -> None:
        self._connections.discard(connection)
        if self._is_over:
            return
        if connection in self._free:
            self._free.remove(connection)
        if connection.is_waiting:
            self._settle(connection.intended_ns, "connection_lost")
        if not self._is_over:
            task = self._loop.create_task(self._open_again())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        url = urlsplit(self._plan.base_url)
        await self._loop.create_connection(
            lambda: KeepAliveConnection(self), url.hostname or "", url.port or 80
        )

    async def _open_again(self) -> None:
        while not self._is_over:
            try:
                return await self._open()
            except OSError:
                await asyncio.sleep(RECONNECT_SECONDS)

    def _send_what_is_due(self) -> None:
        now_ns = time.monotonic_ns()
        while self._next is not None and self._next[1] <= now_ns:
            number, intended_ns = self._next
            self._next = next(self._schedule, None)
            self._dispatch(number, intended_ns)
        if self._next is not None:
            self._timer.arm(self._next[1])
        else:
            self._is_scheduled = True
            self._check_finished()

    def _dispatch(self, number: int, intended_ns: int) -> None:
        if intended_ns >= self._measured_from_ns:
            self._intended += 1
            self._own_lateness.record((time.monotonic_ns() - intended_ns) / 1e6)
            self._waited += not self._free
        self._due.append((number, intended_ns))
        if self._free:
            self._use(self._free.popleft())

    def _use(self, connection: KeepAliveConnection) -> None:
        """Send what has waited longest; with nothing waiting the connection is free."""
        if not self._due:
            self._free.append(connection)
            return
        number, intended_ns = self._due.popleft()
        self._under_way += 1
        connection.send(self._requests.request(number), intended_ns)
        if intended_ns >= self._measured_from_ns:
            self._sent += 1
            self._lateness.record((time.monotonic_ns() - intended_ns) / 1e6)

    def _settle(self, intended_ns: int, error: str | None) -> None:
        self._under_way -= 1
        if intended_ns >= self._measured_from_ns:
            now_ns = time.monotonic_ns()
            self._latencies.record((now_ns - intended_ns) / 1e6)
            self._last_answer_ns = max(self._last_answer_ns, now_ns)
            self._answered += error != "connection_lost"
            if error is None:
                self._good += 1
            else:
                self._errors[error] += 1
        self._check_finished()

    def _check_finished(self) -> None:
        if self._is_scheduled and not self._under_way and not self._due:
            self._is_over = True
            self._finished.set()

    def _give_up(self) -> None:
        """Answers that never came count with the time that was waited for them."""
        self._is_over = True
        now_ns = self._last_answer_ns = time.monotonic_ns()
        missing = [intended_ns for _, intended_ns in self._due]
        missing += [each.intended_ns for each in self._connections if each.is_waiting]
        for intended_ns in missing:
            if intended_ns >= self._measured_from_ns:
                self._latencies.record((now_ns - intended_ns) / 1e6)
                self._errors["unanswered"] += 1

    async def _stop(self) -> None:
        self._is_over = True
        self._timer.close()
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)  # lets the transports close

    def _result(self) -> Result:
        seconds = (self._last_answer_ns - self._measured_from_ns) / NS_PER_SECOND
        p50_ms, p90_ms, p99_ms, p999_ms = self._latencies.percentiles((50, 90, 99, 99.9))
        return Result(
            offered_per_second=round(self._intended / self._plan.seconds, 1),
            achieved_per_second=round(self._good / seconds, 1),
            intended=self._intended,
            sent=self._sent,
            answered=self._answered,
            errors=dict(self._errors),
            waited_for_connection=self._waited,
            p50_ms=_rounded(p50_ms),
            p90_ms=_rounded(p90_ms),
            p99_ms=_rounded(p99_ms),
            p999_ms=_rounded(p999_ms),
            max_ms=_rounded(self._latencies.max_ms),
            lateness_p99_ms=_rounded(self._lateness.percentile(99)),
            generator_lateness_p99_ms=_rounded(self._own_lateness.percentile(99)),
        )


def _rounded(time_ms: float | None) -> float | None:
    return None if time_ms is None else round(time_ms, 3)


def read_loans(path: Path) -> list[Loan]:
    """The loans of a file of "loan_id borrower_id" lines. Raises OSError, ValueError."""
    loans = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        fields = line.split()
        if len(fields) != 2:
            raise ValueError(f'{path}, line {number}: not "loan_id borrower_id"')
        loans.append(Loan(*fields))
    return loans


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.open_loop",
        description="Sends requests at a fixed rate, whatever the server answers, and times each "
        "from when it should have been sent. Prints one JSON object.",
        epilog="Trust the percentiles only where generator_lateness_p99_ms is far below them. "
        "With waited_for_connection above zero, --connections was the bound: the wait counts.",
    )
    parser.add_argument("base_url", help="of the server, such as http://127.0.0.1:3000")
    parser.add_argument("token", help="with the scope that the method needs")
    parser.add_argument("loans", type=Path, help='a file of "loan_id borrower_id" lines')
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured time (10)")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before it (2)")
    parser.add_argument("--connections", type=int, default=64, help="open at once (64)")
    parser.add_argument(
        "--spacing", choices=("poisson", "even"), default="poisson", help="of arrivals (poisson)"
    )
    parser.add_argument("--method", choices=sorted(EXPECTED_STATUS), default="POST")
    parser.add_argument(
        "--path",
        help="{loan_id} stands for the loan; "
        + ", ".join(f"{method}: {path}" for method, path in DEFAULT_PATH.items()),
    )
    parser.add_argument("--amount-minor", default="100", help="of each payment (100)")
    parser.add_argument("--seed", type=int, default=1, help="of the Poisson spacing (1)")
    return parser


def _plan(chosen: argparse.Namespace) -> Plan:
    return Plan(
        base_url=chosen.base_url,
        token=chosen.token,
        loans=read_loans(chosen.loans),
        rate=chosen.rate,
        seconds=chosen.seconds,
        connections=chosen.connections,
        warm_up_seconds=chosen.warm_up,
        spacing=chosen.spacing,
        method=chosen.method,
        path=chosen.path,
        amount_minor=chosen.amount_minor,
        seed=chosen.seed,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when every answer was the expected one, 1 when not, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        plan = _plan(chosen)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    # A pause of the collector would be late sends; a run makes no cycles worth collecting.
    gc.freeze()
    gc.disable()
    try:
        result = uvloop.run(run(plan))
    except OSError as error:
        print(f"cannot reach {plan.base_url}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(msgspec.json.encode(result).decode())
    return 1 if result.errors else 0


if __name__ == "__main__":
    sys.exit(main())
