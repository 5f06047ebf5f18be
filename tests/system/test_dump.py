"""A dumped and restored ledger is the same one: sound, with the same head, and writable."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from hpts.postgres_binaries import find_binaries
from hpts.store.migrate import check_schema
from hpts.store.verify import verify_tenant
from tests.store.ledger_fixture import Books, payment
from tests.store.verify_story import THREE, tell_story


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The folder of those that belong to the test server."""
    folder = find_binaries(None, tmp_path / "none")
    if not (folder / "pg_dump").exists():
        pytest.skip(f"{folder} has no pg_dump, as the embedded PostgreSQL has none")
    return folder


def run(program: Path, *arguments: str) -> None:
    subprocess.run([program, *arguments], check=True, timeout=60)


def test_a_restored_dump_is_the_same_ledger_and_goes_on(
    programs: Path, own_database_url: str, new_database: Callable[[], str], tmp_path: Path
) -> None:
    books = Books(own_database_url)
    asyncio.run(tell_story(books))
    before = verify_tenant(own_database_url, books.tenant_id)
    dump, restored_url = str(tmp_path / "dump"), new_database()
    run(programs / "pg_dump", "--format=custom", f"--file={dump}", own_database_url)
    run(programs / "pg_restore", "--exit-on-error", f"--dbname={restored_url}", dump)
    with psycopg.connect(restored_url, autocommit=True) as superuser:
        superuser.execute("ANALYZE")
    check_schema(restored_url)
    restored = verify_tenant(restored_url, books.tenant_id)
    assert (restored.findings, restored.head, restored.audit_head, restored.counts) == (
        [],
        before.head,
        before.audit_head,
        before.counts,
    )
    Books(restored_url, books.tenant_id).post(payment(THREE, 1, currency="EUR"))
    assert verify_tenant(restored_url, books.tenant_id).findings == []
    with pytest.raises(psycopg.Error, match="append-only"), psycopg.connect(restored_url) as owner:
        owner.execute("DELETE FROM journal_lines")
