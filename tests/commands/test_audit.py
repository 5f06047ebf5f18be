"""`hpts audit list` on a real database: what is shown, to whom it belongs, and bad arguments."""

import datetime
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from hpts.cli import main
from hpts.store.audit import NO_TENANT, operator
from hpts.store.tenants import add_tenant, set_tenant_status

Hpts = Callable[..., list[str]]


@pytest.fixture
def hpts(
    own_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Hpts:
    """Runs `hpts ARGUMENTS` and gives the lines it printed."""
    monkeypatch.setenv("HPTS_DATABASE_URL", own_database_url)

    def run(*arguments: str, status: int = 0) -> list[str]:
        assert main(arguments) == status
        return capsys.readouterr().out.splitlines()

    return run


def listed(hpts: Hpts, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hpts("audit", "list", "--json", *arguments)]


def test_a_tenants_events_are_listed_newest_first(own_database_url: str, hpts: Hpts) -> None:
    tenant_id = add_tenant(own_database_url, "Lender")
    set_tenant_status(own_database_url, tenant_id, "suspended")
    suspended, added = listed(hpts, "--tenant", str(tenant_id))
    assert (suspended["action"], added["action"]) == ("tenant.suspend", "tenant.add")
    actor, origin = operator()
    assert (suspended["actor"], suspended["source"]) == (actor, origin.source)
    assert suspended["recorded_by"]
    assert added["details"] == {"name": "Lender", "requires_mtls": False}
    lines = hpts("audit", "list", "--tenant", str(tenant_id))
    assert len(lines) == 2
    assert f"{tenant_id}  allowed  tenant.suspend  {actor} from {origin.source}" in lines[0]


def test_what_belongs_to_nobody_stands_under_the_nil_tenant(hpts: Hpts) -> None:
    missing = str(uuid.uuid4())
    hpts("tenant", "suspend", "--tenant", missing, status=1)
    event = listed(hpts, "--tenant", str(NO_TENANT))[0]
    assert (event["subject"], event["outcome"]) == (missing, "refused")
    line = hpts("audit", "list", "--tenant", str(NO_TENANT))[0]
    assert line.endswith(f"{missing}  tenant_unknown")


def test_all_tenants_are_listed_together_and_bounded(own_database_url: str, hpts: Hpts) -> None:
    tenants = [add_tenant(own_database_url, "Lender") for _ in range(3)]
    shown = listed(hpts, "--count", "2")
    assert [event["tenant_id"] for event in shown] == [str(tenants[2]), str(tenants[1])]
    assert {str(tenant) for tenant in tenants} <= {event["tenant_id"] for event in listed(hpts)}


def test_since_bounds_what_is_listed(own_database_url: str, hpts: Hpts) -> None:
    tenant_id = str(add_tenant(own_database_url, "Lender"))
    (event,) = listed(hpts, "--tenant", tenant_id)
    recorded = datetime.datetime.fromisoformat(event["recorded_at"])
    later = (recorded + datetime.timedelta(microseconds=1)).isoformat()
    assert listed(hpts, "--tenant", tenant_id, "--since", event["recorded_at"]) == [event]
    assert listed(hpts, "--tenant", tenant_id, "--since", "2000-01-01") == [event]
    assert listed(hpts, "--tenant", tenant_id, "--since", later) == []


@pytest.mark.parametrize(
    "arguments", [("--since", "yesterday"), ("--tenant", "x"), ("--count", "0")]
)
def test_arguments_that_cannot_be_used_are_refused(
    hpts: Hpts, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        hpts("audit", "list", *arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err
