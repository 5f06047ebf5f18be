"""Fixtures of the contract tests: an API client bound to a fresh tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from .client import NO_TLS, Api
from .document import ContractDocument

_documents: dict[str, ContractDocument] = {}


@pytest.fixture
def http_client(server) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    with httpx.Client(
        base_url=server.base_url, timeout=60, limits=limits, trust_env=False, verify=NO_TLS
    ) as client:
        yield client


@pytest.fixture
def document(server, http_client) -> ContractDocument:
    if server.base_url not in _documents:
        response = http_client.get("/v1/openapi.json")
        assert response.status_code == 200, response.text
        _documents[server.base_url] = ContractDocument(response.json())
    return _documents[server.base_url]


@pytest.fixture
def api_of(http_client, document, issue_token) -> Callable[..., Api]:
    """A client of a given tenant; extra keywords go to issue_token."""

    def build(tenant_id: str, **token_options) -> Api:
        token = issue_token(tenant_id, **token_options)
        return Api(client=http_client, document=document, tenant_id=tenant_id, token=token)

    return build


@pytest.fixture
def api(api_of, new_tenant) -> Api:
    return api_of(new_tenant())


@pytest.fixture
def other_api(api_of, new_tenant) -> Api:
    """A second tenant on the same server."""
    return api_of(new_tenant())
