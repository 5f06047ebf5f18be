"""Takes changes of the issuer's key set to the audit record, behind the requests' backs.

It holds the newest set until it is recorded, however long the database is away, and no more than
that one: what came and went meanwhile was never recorded, and never counted for more than minutes.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from hpts.domain.limits import ISSUER_KEYS_RETRY_SECONDS
from hpts.http.jwks import KeySet
from hpts.store.wire import ConnectionLost, StatementFailed
from hpts.telemetry import logger

READ_ONLY = "25006"


class KeyRecord:
    """Of one worker. `record` writes, blocking, and returns how much it left out."""

    def __init__(
        self,
        record: Callable[[Mapping[str, str | None]], int],
        *,
        retry_seconds: float = ISSUER_KEYS_RETRY_SECONDS,
    ) -> None:
        self._record = record
        self._retry_seconds = retry_seconds
        self._waiting: KeySet | None = None
        self._writing: asyncio.Task[None] | None = None

    def note(self, keys: KeySet) -> None:
        """The issuer's keys are these from now on. Returns at once."""
        self._waiting = keys
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def stop(self) -> None:
        """Give up what is not recorded; the worker that starts next finds the difference."""
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing

    async def _write(self) -> None:
        while self._waiting is not None:
            keys, self._waiting = self._waiting, None
            try:
                left_out = await asyncio.to_thread(self._record, keys.kids_by_fingerprint())
            except (ConnectionLost, StatementFailed) as error:
                if isinstance(error, StatementFailed) and not _may_pass(error):
                    logger.warning("changes of the issuer's keys are not recorded: %s", error)
                    continue
                logger.warning("changes of the issuer's keys are not recorded yet: %s", error)
                self._waiting = self._waiting or keys
                await asyncio.sleep(self._retry_seconds)
                continue
            if left_out:
                logger.warning("%d changes of the issuer's keys are not recorded yet", left_out)


def _may_pass(error: StatementFailed) -> bool:
    """A read-only server may serve for months; it is told of once."""
    return error.is_passing and error.sqlstate != READ_ONLY
