"""Two real servers for the tests that need them: a primary and its streaming standby."""

from collections.abc import Iterator

import pytest

from hpts.embedded import EmbeddedPostgres
from hpts.store.migrate import migrate
from tests.standby import pair, require_standby


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A migrated primary whose COMMITs wait for the standby, and the standby."""
    with pair(tmp_path_factory.mktemp("pair")) as (primary, standby):
        migrate(primary.url)
        require_standby(primary.url)
        yield primary, standby
