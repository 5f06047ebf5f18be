"""The two logins of docs/OPERATIONS.md: what each can do, and what the wrong one is told."""

import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hpts.cli import main
from hpts.commands.arguments import database_said
from tests.store.ledger_fixture import Books, disbursement

HANDBOOK = Path(__file__).parents[2] / "docs/OPERATIONS.md"
LOGIN = re.compile(r"CREATE ROLE (ledger_\w+) LOGIN PASSWORD '\.\.\.' (IN ROLE [\w, ]+);")
OF_ADMINISTRATORS = ("migrate", "tenant list", "tenant suspend --tenant T", "verify", "reconcile")
OF_BOTH = ("bank status --tenant T", "export trial-balance --tenant T --output FILE")

Run = Callable[[str, str], int]


@pytest.fixture(scope="module")
def logins(own_database_url: str) -> Iterator[dict[str, str]]:
    """The URLs of the handbook's logins by their names there."""
    shown = LOGIN.findall(HANDBOOK.read_text())
    names = {name: f"{name}_{uuid.uuid4().hex}" for name, _ in shown}
    with psycopg.connect(own_database_url, autocommit=True) as superuser:
        for name, roles in shown:
            superuser.execute(f"CREATE ROLE {names[name]} LOGIN {roles}".encode())
        yield {name: make_conninfo(own_database_url, user=made) for name, made in names.items()}
        for made in names.values():
            superuser.execute(f"DROP ROLE {made}".encode())


@pytest.fixture
def books(own_database_url: str) -> Books:
    books = Books(own_database_url)
    books.post(disbursement(uuid.uuid4(), 1_000))
    return books


@pytest.fixture
def run(
    logins: dict[str, str], books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a command as a login; T stands for the tenant."""

    def run(login: str, command: str) -> int:
        monkeypatch.setenv("HPTS_DATABASE_URL", logins[login])
        places = {"T": str(books.tenant_id), "FILE": str(tmp_path / "file")}
        return main([places.get(word, word) for word in command.split()])

    return run


def test_the_handbook_makes_two_logins(logins: dict[str, str]) -> None:
    assert list(logins) == ["ledger_admin", "ledger_api"]


@pytest.mark.parametrize("command", OF_ADMINISTRATORS + OF_BOTH)
def test_administrators_and_auditors_run_every_command(run: Run, command: str) -> None:
    assert run("ledger_admin", command) == 0


@pytest.mark.parametrize("command", OF_BOTH)
def test_the_servers_login_reads_a_tenants_books(run: Run, command: str) -> None:
    assert run("ledger_api", command) == 0


@pytest.mark.parametrize("command", OF_ADMINISTRATORS)
def test_the_servers_login_is_told_which_it_would_take(
    run: Run, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run("ledger_api", command) == 1
    said = capsys.readouterr().err
    assert "a login that may not become hpts_owner" in said
    assert "GRANT hpts_owner TO it" in said


def test_what_else_the_database_says_is_told_as_it_is() -> None:
    assert database_said(psycopg.Error("no room")) == "the database said: no room"
