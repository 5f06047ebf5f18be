"""Partners of the tests of both ways in: the listener of `hpts serve`, and nginx."""

import pytest

from hpts.store.tenants import add_tenant

from .partners import Papers, make_papers


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make_papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def partner_tenant(database_url: str) -> str:
    return str(add_tenant(database_url, "a partner", requires_mtls=True))
