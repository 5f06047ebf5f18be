"""A mixed load of clients that retry under the same key until they know, at the same time.

Each client works off its own seeded draw: payments, disbursements, accruals, reversals, balances,
replays of what was answered, misuse of keys. It does one thing at a time.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hpts.demo.connection import Connection, HttpReply

from .portfolio import PRINCIPAL_MINOR, Loan, Portfolio
from .record import RETRIED, Counts, Posting, State, problem_code

CLIENTS = 16
WAVE_SECONDS = 0.08
WAVE_SHARE = 0.7
"""Most requests start with others, at the same beat, so that several share a commit."""
RETRY_SECONDS_MAX = 0.25
TIMEOUTS = ((0.3, 1), (1.0, 4), (2.5, 4))
"""How long a client waits for an answer, in seconds, with how often it is drawn. Short, so that a
key is often sent again while its first request still runs; the longest is shorter than a posting's
deadline, so that a request that the server holds on to counts as an outage."""
MIX = (
    ("payment", 54),
    ("disbursement", 6),
    ("accrual", 8),
    ("reversal", 9),
    ("balance", 10),
    ("replay", 6),
    ("misuse", 3),
    ("refused", 4),
)
REPLAYED_AT_END_MAX = 150
EXCUSED_EVER = frozenset((401,))
"""While the server's clock is wrong."""


class Excuse(NamedTuple):
    """What the server may answer at the moment. `changes` counts."""

    changes: int
    statuses: frozenset[int]


NO_EXCUSE = Excuse(0, frozenset())


class Load:
    """The clients of some portfolios. To be used on one event loop, but for what only reads.

    `excuse` tells of faults during which answers are due that nobody else may get: how many there
    have been, begun and ended, and the statuses of the one that goes on.
    """

    def __init__(
        self,
        port: int,
        portfolios: Sequence[Portfolio],
        seed: str,
        excuse: Callable[[], Excuse] = lambda: NO_EXCUSE,
    ) -> None:
        self.port = port
        self.portfolios = portfolios
        self.excuse = excuse
        self.in_flight = self.sent_count = 0
        self.is_stopping = False
        self.balances_count = 0
        self.wrong_answers: list[str] = []
        self.clients = [
            Client(self, portfolios[number % len(portfolios)], random.Random(f"{seed}/{number}"))
            for number in range(CLIENTS)
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._going_on = asyncio.Event()
        self._going_on.set()

    async def start(self) -> None:
        """Open every loan, then let every client do as it likes."""
        for portfolio in self.portfolios:
            helpers = [client for client in self.clients if client.portfolio is portfolio]
            loans = portfolio.shared + portfolio.accrued + [client.loan for client in helpers]
            shares = [loans[start :: len(helpers)] for start in range(len(helpers))]
            await asyncio.gather(
                *(client.open(share) for client, share in zip(helpers, shares, strict=True))
            )
        self._tasks = [asyncio.create_task(client.run()) for client in self.clients]

    def hold(self) -> None:
        """Every client finishes what it has begun, and waits."""
        self._going_on.clear()

    def release(self) -> None:
        """Everybody goes on."""
        self._going_on.set()

    async def wait_while_held(self) -> None:
        await self._going_on.wait()

    def stop(self) -> None:
        """Every client finishes what it has begun."""
        self.is_stopping = True

    def is_finished(self) -> bool:
        return all(task.done() for task in self._tasks)

    def failures(self) -> list[BaseException]:
        """What clients ended with that should not end."""
        done = [task for task in self._tasks if task.done() and not task.cancelled()]
        return [error for task in done if (error := task.exception()) is not None]

    async def finish(self) -> None:
        """Raises what a client failed with."""
        await asyncio.gather(*self._tasks)

    async def abandon(self) -> None:
        """End all clients at once, whatever they do."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self.clients:
            client.connection.close()

    async def replay(self, draw: random.Random) -> int:
        """Send keys once more, those first that were in doubt; how many."""
        found = [p for each in self.portfolios for p in each.record.postings.values()]
        draw.shuffle(found)
        found.sort(key=lambda posting: not posting.was_in_doubt)
        chosen = found[:REPLAYED_AT_END_MAX]
        shares: dict[Client, list[Posting]] = {client: [] for client in self.clients}
        for number, posting in enumerate(chosen):
            able = [c for c in self.clients if c.portfolio.tenant_id == posting.tenant_id]
            shares[able[number % len(able)]].append(posting)
        await asyncio.gather(*(client.ask_again(share) for client, share in shares.items()))
        return len(chosen)

    def served_since(self, moment: float) -> int:
        """How many clients got a 2xx for a request that they sent after that moment."""
        return sum(client.served_sent_at >= moment for client in self.clients)

    def contradictions(self) -> list[str]:
        found = [what for each in self.portfolios for what in each.record.contradictions]
        return found + self.wrong_answers

    def counts(self) -> Counts:
        every = [portfolio.record.counts() for portfolio in self.portfolios]
        return Counts(*(sum(column) for column in zip(*every, strict=True)))


class Client:
    """One client with one connection."""

    def __init__(self, load: Load, portfolio: Portfolio, draw: random.Random) -> None:
        self.portfolio = portfolio
        self.loan: Loan = portfolio.new_loan()
        self.served_sent_at = float("-inf")
        self.connection = Connection("127.0.0.1", load.port, None)
        self._load = load
        self._draw = draw
        self._owed_minor = PRINCIPAL_MINOR
        self._posted: list[Posting] = []
        self._reversible: list[tuple[Posting, Loan | None]] = []

    async def open(self, loans: Sequence[Loan]) -> None:
        for loan in loans:
            await self._settle(self.portfolio.disbursement(loan, PRINCIPAL_MINOR))

    async def run(self) -> None:
        """Until the load stops."""
        names, weights = zip(*MIX, strict=True)
        while not self._load.is_stopping:
            (name,) = self._draw.choices(names, weights)
            await getattr(self, f"_do_{name}")()
            await asyncio.sleep(self._think_seconds())
            await self._load.wait_while_held()

    def _think_seconds(self) -> float:
        if self._draw.random() < WAVE_SHARE:
            return WAVE_SECONDS - time.monotonic() % WAVE_SECONDS
        return self._draw.uniform(0, WAVE_SECONDS)

    async def ask_again(self, postings: Sequence[Posting]) -> None:
        """Until each has a final answer again."""
        for posting in postings:
            await self._ask_until_final(posting)

    async def _do_payment(self) -> None:
        loan = self._draw.choice((self.loan, self._draw.choice(self.portfolio.shared)))
        posting = self.portfolio.payment(loan, self._draw.randint(1, 5_000))
        if await self._settle(posting):
            self._reversible.append((posting, loan))
            self._change_owed(loan, -posting.amount_minor)

    async def _do_disbursement(self) -> None:
        loan = self._draw.choice((self.loan, self.portfolio.new_loan()))
        posting = self.portfolio.disbursement(loan, self._draw.randint(1, 5_000))
        if await self._settle(posting):
            self._change_owed(loan, posting.amount_minor)

    async def _do_accrual(self) -> None:
        posting = self.portfolio.accrual(self._draw)
        if await self._settle(posting):
            self._reversible.append((posting, None))

    async def _do_reversal(self) -> None:
        if self._reversible:
            chosen = self._draw.randrange(len(self._reversible))
            original, loan = self._reversible.pop(chosen)
            if await self._settle(self.portfolio.reversal(original)):
                self._change_owed(loan, original.amount_minor)

    async def _do_refused(self) -> None:
        loan = self._draw.choice(self.portfolio.shared)
        await self._settle(self.portfolio.payment_in_another_currency(loan, 7))

    async def _do_replay(self) -> None:
        """What was answered once is answered the same again; the record sees to it."""
        if self._posted:
            await self._ask(self._draw.choice(self._posted))

    async def _do_misuse(self) -> None:
        """A key that stands for something else is refused."""
        if not self._posted:
            return
        posting = self._draw.choice(self._posted)
        body = json.loads(posting.body) | {"metadata": {"changed": "yes"}}
        if "accrual" in posting.path:
            body = json.loads(posting.body) | {"day_count_convention": "ACT_360"}
        reply = await self._post(posting.path, posting.key, json.dumps(body).encode())
        if reply is None or self._is_passing(reply):
            return
        if problem_code(reply) != "idempotency_mismatch":
            what = f"answered {reply.status} {reply.body[:200]!r} to another body"
            self._load.wrong_answers.append(f"{posting.path} {posting.key}: {what}")

    async def _do_balance(self) -> None:
        """Nobody else pays this loan, and nothing on it is open: it must be as foretold."""
        reply = await self._exchange("GET", f"loans/{self.loan.loan_id}/balance", "", b"")
        if reply is None or self._is_passing(reply):
            return
        self._load.balances_count += 1
        found = json.loads(reply.body).get("principal_outstanding_minor")
        if reply.status != 200 or found != str(self._owed_minor):
            what = f"{reply.status} {found}, should be {self._owed_minor}"
            self._load.wrong_answers.append(f"balance of {self.loan.loan_id}: {what}")

    def _change_owed(self, loan: Loan | None, amount_minor: int) -> None:
        if loan == self.loan:
            self._owed_minor += amount_minor

    async def _settle(self, posting: Posting) -> bool:
        """Ask until the answer is final; whether it was posted."""
        await self._ask_until_final(posting)
        if posting.state is State.POSTED:
            self._posted.append(posting)
        return posting.state is State.POSTED

    async def _ask_until_final(self, posting: Posting) -> None:
        """Again under the same key: half of the times at once, else after a pause."""
        while True:
            if await self._ask(posting):
                return
            await asyncio.sleep(self._draw.choice((0.01, self._draw.random())) * RETRY_SECONDS_MAX)

    async def _ask(self, posting: Posting) -> bool:
        """One attempt; whether its answer was final."""
        before = self._load.excuse()
        reply = await self._post(posting.path, posting.key, posting.body)
        after = self._load.excuse()
        excused = before.statuses | after.statuses
        if after.changes - before.changes > 1:
            excused |= EXCUSED_EVER
        self.portfolio.record.note(posting, reply, excused)
        return reply is not None and not self._is_passing(reply)

    async def _post(self, path: str, key: str, body: bytes) -> HttpReply | None:
        head = f"content-type: application/json\r\nidempotency-key: {key}\r\n"
        sent_at = time.monotonic()
        reply = await self._exchange("POST", path, head, body)
        if reply is not None and reply.status in (200, 201):
            self.served_sent_at = sent_at
        return reply

    async def _exchange(self, method: str, path: str, head: str, body: bytes) -> HttpReply | None:
        seconds, weights = zip(*TIMEOUTS, strict=True)
        (timeout,) = self._draw.choices(seconds, weights)
        request = (
            f"{method} /v1/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"authorization: Bearer {self.portfolio.token}\r\n{head}"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._load.in_flight += 1
        self._load.sent_count += 1
        try:
            async with asyncio.timeout(timeout):
                return await self.connection.exchange(request.encode() + body)
        except (ConnectionError, TimeoutError):
            return None
        finally:
            self._load.in_flight -= 1

    @staticmethod
    def _is_passing(reply: HttpReply) -> bool:
        """Whether the same request may be answered otherwise later."""
        return reply.status in RETRIED | EXCUSED_EVER
