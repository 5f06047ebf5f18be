"""Whatever PostgreSQL cannot do at the moment is 503, to be sent again; what waiting will not mend
is 500. PostgreSQL raises each code itself, in the middle of a posting or an administrative change.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import errors

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.tenants import add_tenant
from tests.conftest import Server, start_server, stop_server
from tests.contract.client import NO_TLS, Loan, disbursement_body

CLASSES = ("08", "40", "53", "55", "57", "58", "XX")
"""What an operator may meet: connection, rollback, resources, prerequisites, intervention, system,
internal."""
STATES = sorted(code for code in errors._sqlcodes if code[:2] in CLASSES) + [
    "25006",  # the server is read-only
    "25P03",  # the transaction was idle for too long
    "25P04",  # it was open for too long
]
UNAVAILABLE, OVERLOADED = (503, "database_unavailable"), (503, "overloaded")
CORRUPTED = {"XX001": (500, "internal_error"), "XX002": (500, "internal_error")}
TRIED_AGAIN = ("40001", "40P01", "55P03")
"""By the lane, until the posting's deadline; which of the two answers is then due is a race."""
NAMED_OTHERWISE = ("25006",)
CLOSING = {"closed_through": "2020-01-31", "reason": "month end"}
RAISE = """
CREATE FUNCTION raise_what_is_asked_for() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked text := to_jsonb(NEW) #>> ARRAY[TG_ARGV[0]];
    found text := substring(asked FROM 'raise:([0-9A-Z]{5})');
BEGIN
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'as asked' USING ERRCODE = found;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER raises BEFORE INSERT ON journal_entries
    FOR EACH ROW EXECUTE FUNCTION raise_what_is_asked_for('idempotency_key');
CREATE TRIGGER raises BEFORE INSERT ON admin_requests
    FOR EACH ROW EXECUTE FUNCTION raise_what_is_asked_for('idempotency_key');
"""


@pytest.fixture(scope="module")
def raising(
    own_database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server on a database that raises the code that an idempotency key names."""
    with psycopg.connect(own_database_url) as connection:
        connection.execute(RAISE)
    started = start_server(own_database_url, issuer, tmp_path_factory.mktemp("raising") / "log")
    yield started
    stop_server(started)


def answers(
    server: Server, issue_token: Callable[..., str], path: str, bodies: Callable[[], object]
) -> dict[str, httpx.Response]:
    """The answer to each code, of a tenant of its own, some at once: three are tried again inside
    until the posting's deadline."""

    def ask(code: str) -> httpx.Response:
        token = issue_token(str(add_tenant(server.database_url, f"meets {code}")))
        headers = {
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": f"raise:{code}:{uuid.uuid4()}",
        }
        with httpx.Client(
            base_url=f"{server.base_url}/v1", trust_env=False, verify=NO_TLS
        ) as client:
            return client.post(path, json=bodies(), headers=headers, timeout=30)

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(STATES, pool.map(ask, STATES), strict=True))


def outcome(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code == 500 or int(answer.headers["retry-after"]) > 0
    return answer.status_code, answer.json()["code"]


def unexpected(answers: dict[str, httpx.Response]) -> dict[str, tuple[int, str]]:
    found = {code: outcome(answer) for code, answer in answers.items()}
    return {code: got for code, got in found.items() if got != CORRUPTED.get(code, UNAVAILABLE)}


def test_every_code_is_listed() -> None:
    assert {code[:2] for code in STATES} == {*CLASSES, "25"}
    assert len(STATES) > 30
    assert {"53100", "53300", "57014", "57P01", "58030", "40001", "XX000", "55P03"} <= set(STATES)


def test_a_posting_that_the_database_cannot_take_is_503_and_leaves_nothing(
    raising: Server, issue_token: Callable[..., str]
) -> None:
    found = answers(raising, issue_token, "/disbursements", lambda: disbursement_body(Loan(), 5))
    for code in TRIED_AGAIN:
        assert outcome(found.pop(code)) in (UNAVAILABLE, OVERLOADED)
    assert unexpected(found) == {}
    with psycopg.connect(raising.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM journal_entries").fetchone() == (0,)
    log = raising.log.read_text()
    told = {code for code in STATES if f": {code}: " in log}
    assert told >= {*STATES} - {*TRIED_AGAIN, *NAMED_OTHERWISE}


def test_an_administrative_change_that_it_cannot_take_is_503(
    raising: Server, issue_token: Callable[..., str]
) -> None:
    found = answers(raising, issue_token, "/periods/close", lambda: CLOSING)
    assert unexpected(found) == {}
    with psycopg.connect(raising.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM period_records").fetchone() == (0,)


@contextlib.contextmanager
def unreachable(database_url: str, table: str) -> Iterator[None]:
    """PostgreSQL may not open the table's file, nor may it write to it: the code that it has for
    this (42501) is that of a file system mounted read-only."""
    with psycopg.connect(database_url) as connection:
        (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        asked = connection.execute("SELECT pg_relation_filepath(%s::regclass)", (table,))
        (name,) = asked.fetchone() or ("",)
    path = Path(folder, name)
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


def test_a_file_that_may_not_be_written_is_503_and_a_missing_privilege_500(
    new_migrated_database: Callable[[], str],
    issuer: DevelopmentIssuer,
    issue_token: Callable[..., str],
    tmp_path: Path,
) -> None:
    url = new_migrated_database()
    token = issue_token(str(add_tenant(url, "meets a file")))
    bodies = {"/disbursements": disbursement_body(Loan(), 5), "/periods/close": CLOSING}

    def send(server: Server, path: str) -> tuple[int, str]:
        headers = {
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": f"file{path.replace('/', ':')}",
        }
        with httpx.Client(base_url=f"{server.base_url}/v1", trust_env=False) as client:
            answer = client.post(path, json=bodies[path], headers=headers, timeout=30)
        return answer.status_code, answer.json().get("code", "")

    with (
        unreachable(url, "journal_entries"),
        unreachable(url, "period_records"),
        serving(url, issuer, tmp_path / "log") as server,
    ):
        assert {send(server, path) for path in bodies} == {UNAVAILABLE}
    with serving(url, issuer, tmp_path / "log") as server:
        with psycopg.connect(url) as connection:
            connection.execute("REVOKE INSERT ON journal_entries FROM hpts_app")
        assert send(server, "/disbursements") == (500, "internal_error")
        with psycopg.connect(url) as connection:
            connection.execute("GRANT INSERT ON journal_entries TO hpts_app")
        assert {send(server, path)[0] for path in bodies} == {201}


@contextlib.contextmanager
def serving(database_url: str, issuer: DevelopmentIssuer, log: Path) -> Iterator[Server]:
    started = start_server(database_url, issuer, log)
    try:
        yield started
    finally:
        stop_server(started)
