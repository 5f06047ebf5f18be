"""The audit record: append-only, one chain a tenant, with the action or not at all."""

import asyncio
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from hpts.domain.audit import Action, AuditEvent, Origin
from hpts.domain.rejections import Refusal
from hpts.posting import Posted
from hpts.store.audit import NO_TENANT, operator, record_audit_event
from hpts.store.statements import sql
from hpts.store.tenants import add_tenant, as_owner, set_tenant_mtls, set_tenant_status
from hpts.store.wire import StatementFailed

from .ledger_fixture import Books, disbursement, open_ledger, posting_of, reversal


def events(database_url: str, tenant_id: uuid.UUID, *, of: str = "%") -> list[dict[str, Any]]:
    """A tenant's events about the subject, the first first, as superuser."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(
            "SELECT *, details::text AS written, xmin::text AS written_by FROM audit_events"
            " WHERE tenant_id = %s AND subject LIKE %s ORDER BY event_number",
            (tenant_id, of),
        ).fetchall()


def denial(**changes: Any) -> AuditEvent:
    values = {"action": Action.ACCESS_DENIED, "is_allowed": False, "problem_code": "unauthorized"}
    return AuditEvent(**values | changes)


def test_every_change_of_a_tenant_is_recorded_with_who_did_it(database_url: str) -> None:
    tenant_id = add_tenant(database_url, "Lender", requires_mtls=True)
    set_tenant_mtls(database_url, tenant_id, requires_mtls=False)
    set_tenant_status(database_url, tenant_id, "suspended")
    set_tenant_status(database_url, tenant_id, "active")
    set_tenant_mtls(database_url, tenant_id, requires_mtls=True)
    found = events(database_url, tenant_id)
    assert [event["action"] for event in found] == [
        "tenant.add",
        "tenant.waive_mtls",
        "tenant.suspend",
        "tenant.resume",
        "tenant.require_mtls",
    ]
    actor, origin = operator()
    assert {(event["actor"], event["source"]) for event in found} == {(actor, origin.source)}
    assert {(event["outcome"], event["subject"]) for event in found} == {
        ("allowed", str(tenant_id))
    }
    assert found[0]["written"] == '{"name":"Lender","requires_mtls":true}'


@pytest.mark.parametrize("change", ["suspend", "mark"])
def test_a_change_of_a_tenant_that_is_not_there_is_recorded_as_nobodys(
    database_url: str, change: str
) -> None:
    missing = uuid.uuid4()
    if change == "suspend":
        assert not set_tenant_status(database_url, missing, "suspended")
    else:
        assert not set_tenant_mtls(database_url, missing, requires_mtls=True)
    (event,) = events(database_url, NO_TENANT, of=str(missing))
    assert (event["outcome"], event["problem_code"]) == ("refused", "tenant_unknown")
    assert events(database_url, missing) == []


def test_an_action_that_fails_leaves_no_event(database_url: str) -> None:
    tenant_id = add_tenant(database_url, "Lender")
    with pytest.raises(psycopg.errors.UniqueViolation):
        add_tenant(database_url, "Lender", tenant_id)
    assert len(events(database_url, tenant_id)) == 1


def test_number_time_login_and_hash_are_the_databases_whatever_is_inserted(
    database_url: str,
) -> None:
    tenant_id = add_tenant(database_url, "Lender")
    with psycopg.connect(database_url) as connection:
        connection.execute("SET ROLE hpts_app")
        connection.execute(sql("set_tenant").encode(), {"tenant_id": str(tenant_id)})
        connection.execute(
            "INSERT INTO audit_events VALUES (%s, gen_random_uuid(), 77, '2000-01-01', 'forged',"
            " 'key.create', 'allowed', NULL, NULL, NULL, NULL, NULL, 1, '{}', '', '')",
            (tenant_id,),
        )
        clock, login = connection.execute("SELECT clock_timestamp(), session_user").fetchall()[0]
    first, forged = sorted(events_of_all(database_url, tenant_id), key=lambda e: e["event_number"])
    assert forged["event_number"] == 2
    assert first["recorded_at"] < forged["recorded_at"] <= clock
    assert forged["recorded_by"] == login
    assert forged["previous_hash"] == first["event_hash"]
    assert forged["event_hash"] not in (b"", first["event_hash"])
    assert forged["audit_event_id"].version == 7
    assert first["audit_event_id"] < forged["audit_event_id"]
    milliseconds = int(forged["recorded_at"].timestamp() * 1000)
    assert forged["audit_event_id"].int >> 80 == milliseconds


def events_of_all(database_url: str, tenant_id: uuid.UUID) -> list[dict[str, Any]]:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        query = "SELECT * FROM audit_events WHERE tenant_id = %s"
        return connection.execute(query, (tenant_id,)).fetchall()


def test_what_was_rolled_back_leaves_no_gap(database_url: str) -> None:
    tenant_id = add_tenant(database_url, "Lender")
    with as_owner(database_url) as connection:
        for is_kept in (True, False, True):
            with connection.transaction(force_rollback=not is_kept):
                record_audit_event(connection, tenant_id, denial(subject="x"))
    numbers = [event["event_number"] for event in events_of_all(database_url, tenant_id)]
    assert sorted(numbers) == [1, 2, 3]


def test_two_transactions_at_once_make_one_chain(database_url: str) -> None:
    tenant_id = add_tenant(database_url, "Lender")
    with as_owner(database_url) as first, as_owner(database_url) as second:
        second.execute("SET lock_timeout = '50ms'")
        with first.transaction():
            record_audit_event(first, tenant_id, denial())
            with pytest.raises(psycopg.errors.LockNotAvailable), second.transaction():
                record_audit_event(second, tenant_id, denial())
            with second.transaction():  # another tenant's chain is not held up
                record_audit_event(second, NO_TENANT, denial())
        with second.transaction():
            record_audit_event(second, tenant_id, denial())
    found = sorted(events_of_all(database_url, tenant_id), key=lambda e: e["event_number"])
    hashes = [event["event_hash"] for event in found]
    assert [event["previous_hash"] for event in found][1:] == hashes[:-1]


@pytest.mark.parametrize("text", ["x" * 300, "nul \0 byte", "\udc80 alone", "é" * 255, ""])
def test_no_text_keeps_an_event_from_being_recorded(database_url: str, text: str) -> None:
    tenant_id = add_tenant(database_url, "Lender")
    origin = Origin(text, text)
    with as_owner(database_url) as connection, connection.transaction():
        event = denial(actor=text, origin=origin, subject=text, problem_code=text)
        record_audit_event(connection, tenant_id, event)
    found = events_of_all(database_url, tenant_id)
    assert len(found) == 2
    assert all(len(event["subject"]) <= 255 for event in found)


def test_a_reversal_and_its_event_are_one_transaction(database_url: str) -> None:
    books = Books(database_url)
    loan_id = uuid.uuid4()
    (opened,) = books.post(disbursement(loan_id, 1_000))

    async def scenario() -> None:
        posting = posting_of(reversal(opened), origin=Origin("192.0.2.7", "0af7651916cd43dd"))
        async with open_ledger(database_url) as ledger:
            first = await ledger.post(books.tenant_id.bytes, posting)
            again = posting_of(
                posting.command,
                key=posting.idempotency_key.decode(),
                digest=posting.request_digest,
            )
            second = await ledger.post(books.tenant_id.bytes, again)
            refused = await ledger.post(books.tenant_id.bytes, posting_of(reversal(opened)))
        assert isinstance(first, Posted)
        assert second == Posted(first.journal_entry_id, first.reply, is_replay=True)
        assert isinstance(refused, Refusal)

    asyncio.run(scenario())
    (event,) = events(database_url, books.tenant_id, of=str(opened))
    ((entry_id, xmin),) = books.fetch(
        "SELECT journal_entry_id, xmin::text FROM journal_entries"
        " WHERE tenant_id = %s AND reverses_entry_id IS NOT NULL"
    )
    assert event["action"] == "reversal.post"
    assert (event["actor"], event["source"]) == ("clerk-é", "192.0.2.7")
    assert event["trace_id"] == "0af7651916cd43dd"
    assert event["written"] == f'{{"journal_entry_id":"{entry_id}"}}'
    assert event["written_by"] == xmin, "both are of one transaction"


def test_a_reversal_that_cannot_be_recorded_is_not_posted(own_database_url: str) -> None:
    books = Books(own_database_url)
    (opened,) = books.post(disbursement(uuid.uuid4(), 1_000))
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON audit_events FROM hpts_app")
        with pytest.raises(StatementFailed, match="record_audit_event"):
            books.post(reversal(opened))
        assert books.fetch("SELECT FROM journal_entries WHERE tenant_id = %s") == [()]
        connection.execute("GRANT INSERT ON audit_events TO hpts_app")
    books.post(reversal(opened))
