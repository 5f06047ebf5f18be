"""How scenarios of many postings at once are played."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hpts.ledger import Ledger
from hpts.posting import Command, Outcome

from .ledger_fixture import Books, posting_of

SECONDS_MAX = 120


def play(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario to its end; one that hangs fails."""
    asyncio.run(asyncio.wait_for(scenario, SECONDS_MAX))


async def post_all(ledger: Ledger, books: Books, *commands: Command) -> list[Outcome]:
    """The outcomes of commands that come at the same time, each under a key of its own."""
    tenant_id = books.tenant_id.bytes
    return list(await asyncio.gather(*(ledger.post(tenant_id, posting_of(c)) for c in commands)))
