"""What every benchmark shares: whether this run measures, the test run's PostgreSQL, a worker.

Without --benchmark-enable each benchmark runs once and small, so that it cannot rot unnoticed.
"""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
import uvloop

import hpts._posting
from hpts.ledger import Ledger
from hpts.posting import Command, Posted, Posting
from hpts.store.tenants import add_tenant
from tests.conftest import (
    POSTGRES_URL,
    PostgresPlugin,
    database_url,
    issuer,
    new_database,
    new_migrated_database,
)
from tests.store.ledger_fixture import posting_of

# Fixtures, found by name.
__all__ = ["database_url", "issuer", "new_database", "new_migrated_database"]

POSTINGS_AT_ONCE = 500
"""While preparing: few enough to be answered well within the deadline of a posting."""


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Every saved result says which build it measured; bench/compare.py insists on it."""
    machine_info["kernel"] = hpts._posting.__file__
    machine_info["package"] = hpts.__file__


@pytest.fixture(scope="session")
def is_measured(request: pytest.FixtureRequest) -> bool:
    """Whether to take full sizes: not where the plugin runs each benchmark once, unmeasured."""
    if hasattr(request.config, "workerinput"):
        return False  # beside other workers nothing can be measured
    option = request.config.getoption
    return bool(option("benchmark_enable")) or not option("benchmark_disable")


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test run's server where there is one; else one that starts when first asked for."""
    if POSTGRES_URL in request.config.stash:
        yield request.config.stash[POSTGRES_URL]
        return
    plugin = PostgresPlugin()
    yield plugin.url
    plugin.pytest_unconfigure()


class Worker:
    """The ledger and the event loop of one server process, for one fresh tenant."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._loop = uvloop.new_event_loop()  # what the server runs on
        self.run = self._loop.run_until_complete
        self.tenant_id = add_tenant(database_url, "Benchmark").bytes
        self.ledger = Ledger(database_url)

    def close(self) -> None:
        self.run(self.ledger.close())
        self._loop.close()

    def postings(self, commands: Sequence[Command]) -> list[Posting]:
        """One each, under fresh keys, still to be posted."""

        async def make() -> list[Posting]:
            return [posting_of(command) for command in commands]

        return self.run(make())

    def post_together(self, postings: Sequence[Posting]) -> list[Posted]:
        """Post in one turn of the loop, so as one batch; all must be new."""
        outcomes = self.run(self._post(postings))
        assert all(isinstance(found, Posted) and not found.is_replay for found in outcomes)
        return outcomes

    async def _post(self, postings: Sequence[Posting]) -> list[Any]:
        post, tenant_id = self.ledger.post, self.tenant_id
        return await asyncio.gather(*(post(tenant_id, posting) for posting in postings))

    def post_all(self, commands: Sequence[Command]) -> list[uuid.UUID]:
        """Post any number of commands, batch by batch; their entries."""
        entries = []
        for start in range(0, len(commands), POSTINGS_AT_ONCE):
            postings = self.postings(commands[start : start + POSTINGS_AT_ONCE])
            entries += self.post_together(postings)
        return [uuid.UUID(bytes=posted.journal_entry_id) for posted in entries]

    def settle(self) -> None:
        """Let PostgreSQL look at what was prepared now, not in the middle of a measurement."""
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")


@pytest.fixture(scope="module")
def worker(database_url: str) -> Iterator[Worker]:
    """One for each module, so that what a module prepares is its own."""
    opened = Worker(database_url)
    yield opened
    opened.close()
