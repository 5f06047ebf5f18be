"""The database's state: read now and then, never waited for long, and missed when it is away."""

import datetime
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest

import hpts.metrics.database
from hpts.metrics.database import DatabaseCollector
from hpts.store.reconcile import reconcile
from hpts.store.vital_signs import VitalSigns, read_vital_signs
from hpts.store.wire import ConnectionLost
from tests.store.ledger_fixture import Books, disbursement, payment

NOTHING = VitalSigns((), (), ())

DEAD_VERSIONS = "hpts_dead_versions_per_row"
HOT_TABLES = ("ledger_heads", "account_totals", "account_month_totals", "account_day_totals")
BATCHES = 30
WRITERS_MAX = 4
"""Each has rows of its own, which only its batches change."""
WAIT_SECONDS = 20


def values(collector: DatabaseCollector) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }


@pytest.fixture
def books(database_url: str) -> Books:
    found = Books(database_url)
    found.post(disbursement(uuid.uuid4(), 1_000))
    return found


def collector_of(books: Books) -> DatabaseCollector:
    return DatabaseCollector(lambda: read_vital_signs(books.database_url, [books.tenant_id], 1))


def test_a_tenant_that_was_never_reconciled_has_a_head_and_no_age(books: Books) -> None:
    tenant = str(books.tenant_id)
    found = values(collector_of(books))
    told = {place: value for place, value in found.items() if place[0] != DEAD_VERSIONS}
    assert told == {("hpts_database_up",): 1.0, ("hpts_head_block", tenant): 1.0}


def test_versions_that_an_open_transaction_keeps_are_counted(own_database_url: str) -> None:
    books = Books(own_database_url)
    one = uuid.uuid4()
    books.post(disbursement(one, 1_000))
    with psycopg.connect(own_database_url) as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("SELECT 1 FROM tenants")
        books.post_each(*(payment(one, 1) for _ in range(BATCHES)))
        await_versions(books, lambda per_row: min(per_row.values()) >= BATCHES / WRITERS_MAX)
    with psycopg.connect(own_database_url, autocommit=True) as owner:
        owner.execute(f"VACUUM {', '.join(HOT_TABLES)}".encode())
    await_versions(books, lambda per_row: max(per_row.values()) == 0)


def await_versions(books: Books, is_met: Callable[[dict[str, float]], bool]) -> None:
    """PostgreSQL's sessions tell what they did about a second later, or when they end."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = values(collector_of(books))
        per_row = {table: found[DEAD_VERSIONS, table] for table in HOT_TABLES}
        if is_met(per_row):
            return
        assert time.monotonic() < deadline, per_row
        time.sleep(0.05)


def test_a_reconciliation_has_an_age_and_no_drift(books: Books) -> None:
    reconcile(books.database_url, books.tenant_id, None)
    found, tenant = values(collector_of(books)), str(books.tenant_id)
    assert 0 <= found["hpts_reconciliation_age_seconds", tenant] < 60
    assert found["hpts_reconciliation_mismatched_accounts", tenant] == 0
    assert found["hpts_reconciliation_principal_drifted", tenant] == 0


def test_drift_is_told(books: Books) -> None:
    books.tamper(
        "UPDATE account_totals SET debit_minor = debit_minor + 1 "
        "WHERE tenant_id = %(tenant)s AND account_code = 1100",
        "UPDATE loans SET principal_minor = principal_minor + 1 WHERE tenant_id = %(tenant)s",
    )
    reconcile(books.database_url, books.tenant_id, None)
    found, tenant = values(collector_of(books)), str(books.tenant_id)
    assert found["hpts_reconciliation_mismatched_accounts", tenant] == 1
    assert found["hpts_reconciliation_principal_drifted", tenant] == 1


def test_the_slowest_webhook_endpoint_says_how_far_the_relay_is_behind(books: Books) -> None:
    slow, fast, deleted = (uuid.uuid4() for _ in range(3))
    now = datetime.datetime.now(datetime.UTC)
    books.post(disbursement(uuid.uuid4(), 1_000))
    with psycopg.connect(books.database_url) as connection:
        for endpoint_id, block_number in ((slow, 0), (fast, 2), (deleted, 0)):
            connection.execute(
                "INSERT INTO webhook_endpoints (tenant_id, endpoint_id, url, event_types,"
                " sealed_secret, created_by) VALUES (%s, %s, 'https://a.example', '{}', '', 'me')",
                (books.tenant_id, endpoint_id),
            )
            connection.execute(
                "INSERT INTO webhook_cursors VALUES (%s, %s, %s, 1, '')",
                (books.tenant_id, endpoint_id, block_number),
            )
        connection.execute(
            "UPDATE webhook_endpoints SET deleted_at = now() WHERE endpoint_id = %s", (deleted,)
        )
        for endpoint_id, status in ((slow, "retrying"), (slow, "held"), (fast, "parked")):
            connection.execute(
                "INSERT INTO webhook_deliveries (tenant_id, endpoint_id, journal_entry_id,"
                " block_number, place, status, attempt_count, next_attempt_at) VALUES"
                " (%s, %s, gen_random_uuid(), 1, 0, %s, 1, %s)",
                (books.tenant_id, endpoint_id, status, now if status == "retrying" else None),
            )
    found, tenant = values(collector_of(books)), str(books.tenant_id)
    assert found["hpts_relay_lag_blocks", tenant] == 2
    assert 0 <= found["hpts_relay_lag_seconds", tenant] < 60
    assert (found["hpts_relay_waiting", tenant], found["hpts_relay_parked", tenant]) == (2, 1)
    with psycopg.connect(books.database_url) as connection:
        connection.execute(
            "UPDATE webhook_cursors SET block_number = 2 WHERE endpoint_id = %s", (slow,)
        )
    found = values(collector_of(books))
    assert (found["hpts_relay_lag_blocks", tenant], found["hpts_relay_lag_seconds", tenant]) == (
        0,
        0,
    )


def test_a_database_that_is_away_is_down_and_has_nothing_else() -> None:
    def read() -> VitalSigns:
        return read_vital_signs("host=127.0.0.1 port=1 connect_timeout=1", [], 1)

    assert values(DatabaseCollector(read)) == {("hpts_database_up",): 0.0}


class Database:
    """One that counts how often it is asked, and answers when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()

    def read(self) -> VitalSigns:
        self.asked += 1
        self.may_answer.wait(10)
        return NOTHING


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database()
    yield made
    made.may_answer.set()


def test_a_database_that_hangs_is_asked_once_and_not_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpts.metrics.database, "WAIT_SECONDS_MAX", 0.05)
    monkeypatch.setattr(hpts.metrics.database, "FRESH_SECONDS", 0)
    collector = DatabaseCollector(database.read)
    for _ in range(3):
        assert values(collector) == {("hpts_database_up",): 0.0}
    assert database.asked == 1
    database.may_answer.set()
    monkeypatch.setattr(hpts.metrics.database, "WAIT_SECONDS_MAX", 10)
    assert values(collector) == {("hpts_database_up",): 1.0}


def test_scrapes_that_follow_each_other_share_a_reading(database: Database) -> None:
    database.may_answer.set()
    collector = DatabaseCollector(database.read)
    for _ in range(5):
        assert values(collector)["hpts_database_up",] == 1.0
    assert database.asked == 1


def test_what_cannot_be_read_is_lost_like_a_connection() -> None:
    with pytest.raises(ConnectionLost):
        read_vital_signs("host=127.0.0.1 port=1 connect_timeout=1", [], 1)


def test_of_many_tenants_those_that_are_wanted_come_first(books: Books) -> None:
    others = Books(books.database_url), Books(books.database_url)
    for wanted in (books, *others):
        found = read_vital_signs(books.database_url, [wanted.tenant_id], 2).tenants
        assert found[0].tenant_id == wanted.tenant_id
        assert len(found) == 2
