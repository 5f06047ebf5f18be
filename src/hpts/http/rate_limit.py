"""How many requests a second a tenant may send to a worker: above that 429, before anything else is
done for it, so that one tenant's flood takes little from the others.

The generic cell rate algorithm: one number a tenant, the moment at which all it has sent would be
worked off at its rate. Source: ATM Forum, Traffic Management 4.0, section 4.4.2.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from hpts.domain.limits import RATE_LIMITED_TENANTS_MAX

BURST_SECONDS = 1.0
"""A tenant may be ahead of its rate by what it may send in this time."""


class RateLimit:
    """One limit, for every tenant the same. `rate` is in requests a second."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self._worked_off_at: OrderedDict[bytes, float] = OrderedDict()

    def seconds_to_wait(self, tenant_id: bytes) -> float:
        """0 where the request may go on and is counted; else after how long the next one may."""
        now = self._clock()
        worked_off_at = max(self._worked_off_at.get(tenant_id, 0.0), now) + self._interval
        ahead = worked_off_at - now - BURST_SECONDS
        if ahead > self._interval / 2:  # half of one, for what adding floats loses
            return ahead
        self._worked_off_at[tenant_id] = worked_off_at
        self._worked_off_at.move_to_end(tenant_id)
        if len(self._worked_off_at) > RATE_LIMITED_TENANTS_MAX:
            # The one that was quiet longest: at worst it may send a burst again.
            self._worked_off_at.popitem(last=False)
        return 0.0


class RateLimits:
    """The limits of writes and of reads; None for no limit."""

    def __init__(self, writes: int | None, reads: int | None) -> None:
        self._writes = None if writes is None else RateLimit(writes)
        self._reads = None if reads is None else RateLimit(reads)

    @property
    def are_set(self) -> bool:
        """Whether there is any limit."""
        return self._writes is not None or self._reads is not None

    def seconds_to_wait(self, tenant_id: bytes, method: str) -> float:
        """As RateLimit's; a POST is a write."""
        limit = self._writes if method == "POST" else self._reads
        return 0.0 if limit is None else limit.seconds_to_wait(tenant_id)


NO_LIMITS = RateLimits(None, None)
