"""Keys of the issuer that come and go: each change is one audit event, whoever notices it."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from hpts.domain.limits import ISSUER_KEYS_RECORDED_MAX
from hpts.store.audit import NO_TENANT, operator
from hpts.store.issuer_keys import record_issuer_keys, subject_of
from hpts.store.verify import verify
from hpts.store.wire import ConnectionLost, StatementFailed

ISSUER = "https://issuer.test"


def events(database_url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT action, subject, details FROM audit_events WHERE tenant_id = %s"
            " ORDER BY event_number",
            (NO_TENANT,),
        ).fetchall()


@pytest.fixture
def empty_url(own_database_url: str) -> str:
    """A database whose record tells of no key."""
    with psycopg.connect(own_database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("ALTER TABLE audit_events DISABLE TRIGGER audit_events_are_append_only")
        connection.execute("DELETE FROM audit_events")
        connection.execute(
            "ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_are_append_only"
        )
    return own_database_url


def test_what_is_new_is_accepted_and_what_is_gone_is_withdrawn(empty_url: str) -> None:
    assert record_issuer_keys(empty_url, ISSUER, {"aa": "old"}) == 0
    record_issuer_keys(empty_url, ISSUER, {"aa": "old"})
    record_issuer_keys(empty_url, ISSUER, {"aa": "renamed", "bb": None})
    record_issuer_keys(empty_url, "https://another.test", {"aa": "theirs"})
    record_issuer_keys(empty_url, ISSUER, {})
    record_issuer_keys(empty_url, ISSUER, {"aa": "back"})
    a, b, by = subject_of("aa"), subject_of("bb"), {"issuer": ISSUER}
    assert events(empty_url) == [
        ("key.accept", a, by | {"kid": "old"}),
        ("key.accept", b, by),
        ("key.accept", a, {"issuer": "https://another.test", "kid": "theirs"}),
        ("key.withdraw", a, by),
        ("key.withdraw", b, by),
        ("key.accept", a, by | {"kid": "back"}),
    ]


def test_an_event_says_who_noticed_it_and_where(empty_url: str) -> None:
    record_issuer_keys(empty_url, ISSUER, {"aa": "k"})
    with psycopg.connect(empty_url) as connection:
        found = connection.execute("SELECT actor, source, outcome FROM audit_events").fetchall()
    actor, origin = operator()
    assert found == [(actor, origin.source, "allowed")]


def test_those_who_notice_a_change_together_record_it_once(empty_url: str) -> None:
    record_issuer_keys(empty_url, ISSUER, {"aa": "old"})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: record_issuer_keys(empty_url, ISSUER, {"bb": "new"}), range(16)))
    changes = [(action, subject) for action, subject, _ in events(empty_url)[1:]]
    assert changes == [("key.accept", subject_of("bb")), ("key.withdraw", subject_of("aa"))]


def test_an_issuer_of_thousands_of_keys_floods_nothing(empty_url: str) -> None:
    keys: dict[str, str | None] = {f"{number:064x}": "k" * 10_000 for number in range(100)}
    left_out = 100 - ISSUER_KEYS_RECORDED_MAX
    assert record_issuer_keys(empty_url, ISSUER, keys) == left_out
    assert len(events(empty_url)) == ISSUER_KEYS_RECORDED_MAX
    assert record_issuer_keys(empty_url, ISSUER, keys) == 0
    assert len(events(empty_url)) == 100
    assert max(len(details["kid"]) for *_, details in events(empty_url)) == 255


def test_odd_key_ids_are_recorded_and_the_record_verifies(
    empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record_issuer_keys(empty_url, ISSUER, {"aa": "\0'\"\\;--\u202e", "bb": ""})
    assert verify(empty_url, None, sys.stdout) == 0, capsys.readouterr().out


def test_a_database_that_is_away_or_read_only_is_told_apart(empty_url: str) -> None:
    with pytest.raises(ConnectionLost):
        record_issuer_keys("postgresql://127.0.0.1:1/none", ISSUER, {"aa": None})
    read_only = f"{empty_url} options='-c default_transaction_read_only=on'"
    with pytest.raises(StatementFailed) as refused:
        record_issuer_keys(read_only, ISSUER, {"aa": None})
    assert refused.value.sqlstate == "25006"
