"""What was asked of the ledger and what it answered, by idempotency key; contradictions at once.

It knows the rules of retries (a key is created once, then replayed byte for byte) and no database.
"""

import enum
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from hpts.demo.connection import HttpReply
from hpts.http.payloads import ACCRUAL_BATCH, DISBURSEMENT, PAYMENT, REVERSAL

KINDS = {
    "payments": PAYMENT,
    "disbursements": DISBURSEMENT,
    "accruals/batch": ACCRUAL_BATCH,
    "reversals": REVERSAL,
}
"""By path, for the fingerprint that the ledger must keep with the key."""
RETRIED = frozenset((409, 429, 503))
ENTRIES = b"/v1/journal-entries/"


class State(enum.Enum):
    """What a client knows of a posting."""

    OPEN = "no final answer yet"
    POSTED = "answered 2xx"
    REFUSED = "refused by a rule"


@dataclass(slots=True, eq=False)
class Posting:
    """A request under its key. `amount_minor` is the sum of the debits that it must post."""

    tenant_id: str
    path: str
    key: str
    body: bytes
    digest: bytes
    amount_minor: int
    refusal: str | None = None
    attempts: int = 0
    state: State = State.OPEN
    was_created: bool = False
    reply: bytes = b""
    entry_id: str = ""

    @property
    def was_in_doubt(self) -> bool:
        """Whether a client once had to ask again."""
        return self.attempts > 1


class Claim(NamedTuple):
    """What the journal must hold, or must not, under a key."""

    key: str
    state: State
    digest: bytes
    amount_minor: int
    reply: bytes
    entry_id: str


class Counts(NamedTuple):
    """How much was asked and answered."""

    postings: int
    attempts: int
    created: int
    replayed_when_in_doubt: int
    refused: int


class Record:
    """Every posting of one tenant. To be used on one thread."""

    def __init__(self, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self.postings: dict[str, Posting] = {}
        self.contradictions: list[str] = []

    def new(
        self, path: str, key: str, body: dict[str, object], amount_minor: int, refusal: str | None
    ) -> Posting:
        """A posting that is about to be sent for the first time."""
        content = json.dumps(body).encode()
        _, digest = KINDS[path].decode(content)
        posting = Posting(self.tenant_id, path, key, content, digest, amount_minor, refusal)
        self.postings[key] = posting
        return posting

    def note(
        self, posting: Posting, reply: HttpReply | None, excused: Collection[int] = ()
    ) -> None:
        """A reply, or None where no complete one came. `excused` are statuses to be retried."""
        posting.attempts += 1
        if reply is None or reply.status in RETRIED or reply.status in excused:
            return
        if reply.status in (200, 201):
            self._note_posted(posting, reply)
        elif posting.refusal and problem_code(reply) == posting.refusal:
            if posting.state is State.POSTED:
                self._contradict(posting, "was posted and then refused")
            posting.state = State.REFUSED
        else:
            self._contradict(posting, f"was answered {reply.status} {reply.body[:200]!r}")
            posting.state = State.REFUSED if posting.state is State.OPEN else posting.state

    def _note_posted(self, posting: Posting, reply: HttpReply) -> None:
        if posting.refusal:
            self._contradict(posting, f"was posted, not refused as {posting.refusal}")
        if (reply.status == 200) != (reply.headers.get(b"idempotent-replayed") == b"true"):
            self._contradict(posting, f"Idempotent-Replayed does not fit the status {reply.status}")
        entry_id = str(json.loads(reply.body)["journal_entry_id"])
        if reply.headers.get(b"location") != ENTRIES + entry_id.encode():
            self._contradict(posting, "Location names another entry than the body")
        if posting.state is State.POSTED and reply.body != posting.reply:
            self._contradict(posting, f"answered {reply.body!r} after {posting.reply!r}")
        if reply.status == 201 and posting.state is State.POSTED:
            self._contradict(posting, "was created although it had been posted")
        if reply.status == 200 and posting.attempts == 1:
            self._contradict(posting, "was replayed at its first attempt")
        posting.was_created |= reply.status == 201
        posting.state, posting.reply, posting.entry_id = State.POSTED, reply.body, entry_id

    def _contradict(self, posting: Posting, what: str) -> None:
        self.contradictions.append(f"{posting.path} {posting.key}: {what}")

    def claims(self) -> list[Claim]:
        """A snapshot for the judge."""
        return [
            Claim(p.key, p.state, p.digest, p.amount_minor, p.reply, p.entry_id)
            for p in self.postings.values()
        ]

    def counts(self) -> Counts:
        postings = self.postings.values()
        posted = [p for p in postings if p.state is State.POSTED]
        return Counts(
            len(postings),
            sum(p.attempts for p in postings),
            sum(p.was_created for p in posted),
            sum(not p.was_created for p in posted),
            sum(p.state is State.REFUSED for p in postings),
        )


def problem_code(reply: HttpReply) -> str:
    """Of a problem; empty where the body is none."""
    try:
        return str(json.loads(reply.body).get("code", ""))
    except (ValueError, AttributeError):
        return ""


def drawn_identifier(*parts: object) -> str:
    """A UUID that is the same in every run with the same seed."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
