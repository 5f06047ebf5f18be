"""What tests of the store start from: a tenant's books, and a primary with its standby."""

import asyncio
from collections.abc import Iterator

import pytest

from hpts.embedded import EmbeddedPostgres
from hpts.store.migrate import migrate
from tests.standby import pair, require_standby

from .ledger_fixture import Books
from .verify_story import Story, tell_story


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A migrated primary whose COMMITs wait for the standby, and the standby."""
    with pair(tmp_path_factory.mktemp("pair")) as (primary, standby):
        migrate(primary.url)
        require_standby(primary.url)
        yield primary, standby


@pytest.fixture
def books(database_url: str) -> Books:
    """Of a fresh tenant with no entries yet."""
    return Books(database_url)


@pytest.fixture
def story(own_database_url: str) -> Story:
    return asyncio.run(tell_story(Books(own_database_url)))
