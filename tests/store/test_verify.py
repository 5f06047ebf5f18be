"""A verification walks all books in bounded memory, and the command tells what it found."""

import io
import uuid
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from hpts.store import verify_snapshot
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import set_tenant_status
from hpts.store.verify import CHECKS, verify, verify_tenant

from .ledger_fixture import Books
from .verify_story import OF_LOAN, ONE, Story

CONNECTIONS_MAX = 7
"""One that holds the snapshot, one that adds up the loans, and those walked beside each other."""


def test_a_sound_ledger_has_no_findings_and_is_counted(story: Story) -> None:
    verified = story.verify()
    assert verified.findings == []
    totals = sum(
        story.books.fetch(f"SELECT count(*) FROM {table} WHERE tenant_id = %s")[0][0]
        for table in ("account_totals", "account_month_totals", "account_day_totals")
    )
    assert verified.counts == {
        "entries": 10,
        "lines": 3 * 2 + 3 + (3 + 4) + 3 + 3 + 3 + 3,
        "loans": 3,
        "totals": totals,
        "blocks": 7,
        "audit events": 3,
    }
    assert verified.head == f"7 {story.block(7)['block_hash'].hex()}"


def test_an_empty_ledger_is_sound(own_database_url: str) -> None:
    books = Books(own_database_url)
    verified = verify_tenant(own_database_url, books.tenant_id)
    assert verified.findings == []
    assert verified.head == f"0 {sha256(books.tenant_id.bytes).hexdigest()}"


def test_a_ledger_is_walked_in_bounded_portions(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_snapshot, "ROWS_PER_FETCH", 1)
    assert story.verify().findings == []


def test_statements_that_follow_each_other_share_a_connection(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def connect(*arguments: Any, **options: Any) -> Any:
        opened.append(real(*arguments, **options))
        return opened[-1]

    real = psycopg.connect
    monkeypatch.setattr(psycopg, "connect", connect)
    assert story.verify().findings == []
    assert len(opened) <= CONNECTIONS_MAX
    assert all(connection.closed for connection in opened)


def test_a_suspended_tenant_is_verified_and_a_missing_one_is_unknown(story: Story) -> None:
    set_tenant_status(story.books.database_url, story.books.tenant_id, "suspended")
    assert story.verify().counts["entries"] == 10
    with pytest.raises(TenantUnknown):
        verify_tenant(story.books.database_url, uuid.uuid4())


def test_the_command_prints_what_it_checked_and_how_fast(story: Story) -> None:
    out = io.StringIO()
    assert verify(story.books.database_url, story.books.tenant_id, out) == 0
    printed = out.getvalue()
    assert f"tenant {story.books.tenant_id}\n" in printed
    assert "10 entries, 28 lines, 3 loans, " in printed
    assert "7 blocks, 3 audit events in " in printed
    assert " lines/s)" in printed
    assert f"head: block 7 {story.block(7)['block_hash'].hex()}\n" in printed
    assert f"sound: all {len(CHECKS)} checks passed" in printed


def test_the_command_prints_findings_and_fails(story: Story) -> None:
    story.tamper(f"UPDATE loans SET principal_minor = 1 {OF_LOAN}", loan=ONE)
    out = io.StringIO()
    assert verify(story.books.database_url, story.books.tenant_id, out) == 1
    assert f"FAILED loans ({CHECKS['loans']})\n    loans {ONE}: principal_minor is 1" in (
        out.getvalue()
    )
    assert "sound" not in out.getvalue()


def test_the_command_verifies_all_tenants_and_fails_if_one_does(story: Story) -> None:
    other = Books(story.books.database_url)
    story.tamper(f"UPDATE loans SET principal_minor = 1 {OF_LOAN}", loan=ONE)
    out = io.StringIO()
    assert verify(other.database_url, None, out) == 1
    assert str(other.tenant_id) in out.getvalue()
    assert str(story.books.tenant_id) in out.getvalue()
    assert verify(other.database_url, other.tenant_id, io.StringIO()) == 0


def test_the_command_says_that_there_is_no_such_tenant(own_database_url: str) -> None:
    out = io.StringIO()
    stranger = uuid.uuid4()
    assert verify(own_database_url, stranger, out) == 2
    assert out.getvalue().startswith(f"no such tenant: {stranger}")
