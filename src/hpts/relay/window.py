"""What of an endpoint is not delivered yet: which entry may go, and how far the cursor may move.

An entry goes when no earlier entry of any of its loans is open: those of one loan arrive in their
order, and one that fails holds up its own loans only. The cursor moves over what is delivered or
stands in webhook_deliveries, never over anything else.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping

from hpts.domain import limits
from hpts.store.feed import Headline, Position


class Item:
    """An entry on its way. Times are seconds since 1970."""

    __slots__ = (
        "attempt_count",
        "error",
        "first_attempt_at",
        "followers",
        "headline",
        "is_kept",
        "is_sending",
        "last_attempt_at",
        "next_attempt_at",
        "response_status",
        "status",
        "waiting_for",
    )

    def __init__(self, headline: Headline) -> None:
        self.headline = headline
        self.status = "open"  # or a status of webhook_deliveries
        self.waiting_for = 0
        self.followers: list[Item] = []
        self.is_kept = False
        self.is_sending = False
        self.attempt_count = 0
        self.first_attempt_at: float | None = None
        self.last_attempt_at: float | None = None
        self.next_attempt_at: float | None = None
        self.response_status: int | None = None
        self.error: str | None = None

    @property
    def is_over(self) -> bool:
        """Nothing waits for it any more."""
        return self.status in ("delivered", "parked")


class Window:
    """The open entries of one endpoint, and the cursor behind them."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._order: deque[Item | Position] = deque()
        self._newest_of: dict[str, Item] = {}
        self._open: dict[str, Item] = {}
        self._loan_count = 0
        self._ready: deque[Item] = deque()
        self._later: list[tuple[float, str, Item]] = []
        self._changed: dict[str, Item] = {}

    @property
    def open_count(self) -> int:
        return len(self._open)

    @property
    def room(self) -> int:
        """How many more entries may be taken."""
        if self._loan_count >= limits.WEBHOOK_OPEN_LOANS_MAX:
            return 0
        return max(0, limits.WEBHOOK_OPEN_MAX - len(self._open))

    def add(self, headlines: Iterable[Headline], end: Position) -> None:
        """Take entries from the chain, and the end of what was looked through for them."""
        for headline in headlines:
            if headline.entry_id not in self._open:
                item = Item(headline)
                self._link(item)
                self._order.append(item)
        self._order.append(end)

    def restore(self, items: Iterable[Item]) -> None:
        """Take what webhook_deliveries has open, as far as it is not here."""
        for item in items:
            if item.headline.entry_id not in self._open:
                item.is_kept = True
                self._link(item)

    def put_off_ids(self) -> list[str]:
        """The entries whose next attempt has a time."""
        return [entry_id for entry_id, item in self._open.items() if item.next_attempt_at]

    def bring_forward(self, next_attempts: Mapping[str, float]) -> None:
        """Try entries again then, if that is earlier than planned."""
        for entry_id, at in next_attempts.items():
            item = self._open.get(entry_id)
            if item is not None and item.next_attempt_at and at < item.next_attempt_at:
                self._set_next(item, at)

    def _link(self, item: Item) -> None:
        headline = item.headline
        self._open[headline.entry_id] = item
        self._loan_count += len(headline.loan_ids)
        before = {
            id(found): found
            for loan_id in headline.loan_ids
            if (found := self._newest_of.get(loan_id)) is not None
        }
        for found in before.values():
            found.followers.append(item)
        item.waiting_for = len(before)
        self._newest_of.update(dict.fromkeys(headline.loan_ids, item))
        if not before:
            self._release(item)

    def _release(self, item: Item) -> None:
        if item.next_attempt_at is None:
            self._ready.append(item)
        else:
            self._set_next(item, item.next_attempt_at)

    def _set_next(self, item: Item, at: float) -> None:
        item.next_attempt_at = at
        if not item.waiting_for:
            heapq.heappush(self._later, (at, item.headline.entry_id, item))

    def take(self, now: float) -> Item | None:
        """An entry to send now, or None."""
        while self._later and self._later[0][0] <= now:
            at, _, item = heapq.heappop(self._later)
            if item.next_attempt_at == at and not item.is_sending and not item.is_over:
                self._ready.append(item)
        while self._ready:
            item = self._ready.popleft()
            if not item.is_sending and not item.is_over:
                item.is_sending = True
                return item
        return None

    def next_at(self) -> float | None:
        """When something is due that is not due yet."""
        return self._later[0][0] if self._later else None

    def finish(self, item: Item, status: str) -> None:
        """An entry is delivered or parked: what waited for it may go."""
        headline = item.headline
        item.status, item.is_sending, item.next_attempt_at = status, False, None
        del self._open[headline.entry_id]
        self._loan_count -= len(headline.loan_ids)
        for loan_id in headline.loan_ids:
            if self._newest_of.get(loan_id) is item:
                del self._newest_of[loan_id]
        for follower in item.followers:
            follower.waiting_for -= 1
            if not follower.waiting_for:
                self._release(follower)
        item.followers.clear()
        if item.is_kept or status == "parked":
            self._changed[headline.entry_id] = item

    def put_off(self, item: Item, until: float) -> None:
        """An attempt failed; the next one is then."""
        item.status, item.is_sending = "retrying", False
        self._set_next(item, until)
        self._changed[item.headline.entry_id] = item

    def settle(self) -> tuple[Position, list[Item]]:
        """Where the cursor may stand once the deliveries given with it are kept."""
        while self._order:
            first = self._order[0]
            if isinstance(first, Item):
                if not first.is_over and first.status == "open":
                    if not first.waiting_for:
                        break  # on its way for the first time
                    first.status = "held"  # all that it waits for is behind the cursor, and failed
                    self._changed[first.headline.entry_id] = first
                self._position = first.headline.position
            else:
                self._position = first
            self._order.popleft()
        changed = list(self._changed.values())
        for item in changed:
            item.is_kept = True
        self._changed.clear()
        return self._position, changed

    def unsettle(self, changed: Iterable[Item]) -> None:
        """Give these with the next settlement: they were perhaps not kept."""
        for item in changed:
            self._changed.setdefault(item.headline.entry_id, item)
