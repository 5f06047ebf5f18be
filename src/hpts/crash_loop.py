"""When a worker that ends early is a crash loop, after which granian ends the server.

granian takes the second early end of a worker for one. Two workers killed by chance are none: the
server must go on. One that cannot start at all ends again and again, and then it must not.
"""

import time
from collections import deque

from hpts.domain.limits import EARLY_END_AGE_MS_MAX, EARLY_ENDS_MAX, EARLY_ENDS_SECONDS

EARLY_END_SECONDS = EARLY_END_AGE_MS_MAX / 1000


class Respawns(dict[int, float]):
    """granian's record of when it replaced each worker, by the worker's number.

    It is asked (`get`) when a worker has ended, and compares the answer with the last 5.5 s. Until
    there were too many early ends the answer is that the worker was never replaced.
    """

    def __init__(self) -> None:
        super().__init__()
        self._early_ends: deque[float] = deque(maxlen=EARLY_ENDS_MAX)

    def clear(self) -> None:
        """Keeps everything: granian forgets all whenever it replaces one.

        Workers that end in turn would never be seen to end early.
        """

    def get(self, worker: int, default: float = 0) -> float:  # type: ignore[override]
        """When the worker was replaced, `default` while that does not matter."""
        now = time.monotonic()
        if worker not in self or now - self[worker] > EARLY_END_SECONDS:
            return default
        self._early_ends.append(now)
        is_full = len(self._early_ends) == EARLY_ENDS_MAX
        is_loop = is_full and now - self._early_ends[0] <= EARLY_ENDS_SECONDS
        return self[worker] if is_loop else default
