"""Opens connections by psycopg so that an attempt that fails leaves nothing open.

psycopg's frames and their own error refer to each other, so what a failed attempt had opened would
stay open until the cycle collector comes by, which in a worker is seldom. A database that accepts
connections and answers none would have all its places taken by attempts that were given up.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg


def connect(conninfo: str, **options: Any) -> psycopg.Connection[Any]:
    """As psycopg.connect. Raises psycopg.Error."""
    with _nothing_left_open():
        return psycopg.connect(conninfo, **options)


async def connect_async(conninfo: str, **options: Any) -> psycopg.AsyncConnection[Any]:
    """As psycopg.AsyncConnection.connect. Raises psycopg.Error; may be cancelled."""
    with _nothing_left_open():
        return await psycopg.AsyncConnection.connect(conninfo, **options)


@contextmanager
def _nothing_left_open() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        _release(error)
        raise


def _release(error: BaseException) -> None:
    """Have psycopg's frames, which have ended, forget what they hold; the error keeps its text."""
    seen: BaseException | None = error
    while seen is not None:
        at = seen.__traceback__
        while at is not None:
            if at.tb_frame.f_globals.get("__name__", "").startswith("psycopg"):
                with suppress(RuntimeError):  # it runs
                    at.tb_frame.clear()
            at = at.tb_next
        seen = seen.__cause__ or seen.__context__
