"""An event loop in a thread of its own, so that load and proxy go on while the test's own thread
starts, stops and judges."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

import uvloop

Result = TypeVar("Result")
CALL_SECONDS_MAX = 60


class Background:
    """A context manager; the loop stops at its end, and what still runs on it is cancelled."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Result], seconds: float = CALL_SECONDS_MAX) -> Result:
        """Run a coroutine on the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def call(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call a plain function on the loop and wait for its result."""

        async def called() -> Result:
            return function(*arguments)

        return self.run(called())


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
