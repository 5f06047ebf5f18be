"""Awaiting many coroutines at once: the first failure cancels the rest and is raised as itself.

How many requests are really under way is bounded by the client's connections, not here.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def await_all(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results in the order of `coroutines`."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failures:
        # One plain exception, so that callers need not know how deeply the groups were nested.
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
