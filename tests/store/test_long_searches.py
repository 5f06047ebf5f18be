"""Pages that end early, because what they look for is rare: together they hold all of it, once."""

import asyncio
import datetime
import random
import uuid
from typing import Any

import psycopg
import pytest

from hpts.domain.instants import Instant, end_of_day
from hpts.store import audit_reads, known_reads
from hpts.store.known_reads import RestatementQuery
from hpts.store.relay import RelayConnection
from tests.relay.world import opened

from .ledger_fixture import Books, open_ledger

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
EPOCH_2000 = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
SEARCHED_MAX = 12


def insert(books: Books, statement: str, rows: list[dict[str, Any]]) -> None:
    """Rows as superuser, without the triggers that seal them; `tenant` is the books'."""
    with psycopg.connect(books.database_url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.executemany(statement.encode(), [{"tenant": books.tenant_id, **row} for row in rows])


def post_at_any_time(books: Books, draw: random.Random) -> list[dict[str, Any]]:
    """Entries of twenty days, on their day, late by little, or in runs of the same old day."""
    entries = []
    for day in range(20):
        kind = draw.choice(["own", "late", "run", "mixed"])
        old = draw.randrange(-10, day + 1)
        for n in range(draw.randrange(40)):
            at = BEGIN + datetime.timedelta(day, n)
            effective = {
                "own": day,
                "late": draw.randrange(-10, day + 1),
                "run": old,
                "mixed": draw.choice([day, old]),
            }[kind]
            entries.append({
                "at": at,
                "entry": uuid.UUID(int=(int(at.timestamp() * 1000) << 80) + n),
                "day": (BEGIN + datetime.timedelta(effective)).date(),
                "code": draw.choice([1000, 1000, 1000, 4000]),
            })  # fmt: skip
    insert(
        books,
        "INSERT INTO journal_entries VALUES (%(tenant)s, %(entry)s, 'manual_adjustment', %(day)s,"
        " %(at)s, gen_random_uuid(), NULL, NULL, 'a', %(entry)s::text, sha256(''), '{}', '',"
        " sha256(''))",
        entries,
    )
    insert(
        books,
        "INSERT INTO journal_lines SELECT %(tenant)s, %(entry)s, 5, NULL, side, CASE side"
        " WHEN 1 THEN %(code)s ELSE 5000 END, (ARRAY['D', 'C'])[side]::\"char\", 'S', 'USD'"
        " FROM generate_series(1, 2) AS side",
        entries,
    )
    insert(
        books,
        "INSERT INTO account_day_totals VALUES (%(tenant)s, %(code)s, 'USD', 'S', %(day)s, 0, 1, 1)"
        " ON CONFLICT DO NOTHING",
        entries,
    )
    return entries


def test_the_pages_of_a_restatement_hold_every_entry_once(
    database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the entries lie close together, far apart, or far apart and then close."""
    monkeypatch.setattr(known_reads, "RESTATEMENT_SEARCHED_MAX", SEARCHED_MAX)
    draw = random.Random(seed)
    books = Books(database_url)
    entries = post_at_any_time(books, draw)
    early_ends = 0

    def instant(day: int) -> Instant:
        at = BEGIN + datetime.timedelta(day, 7)
        return Instant((at - EPOCH_2000) // datetime.timedelta(microseconds=1))

    async def check() -> None:
        nonlocal early_ends
        async with open_ledger(database_url) as ledger:
            for _ in range(20):
                day = BEGIN.date() + datetime.timedelta(draw.randrange(-10, 20))
                known_from, known_to = map(instant, sorted(draw.choices(range(-1, 21), k=2)))
                code = draw.choice([1000, 4000])
                query = RestatementQuery(
                    b"%d" % code, b"USD", b"S", str(day), known_from, known_to, end_of_day(str(day))
                )
                expected = [
                    str(one["entry"])
                    for one in entries
                    if one["code"] == code
                    and one["day"] <= day
                    and known_from.before_entry_id <= one["entry"].bytes < known_to.before_entry_id
                ]
                found: list[str] = []
                after: bytes | None = None
                while True:
                    size = draw.randrange(1, 9)
                    page = await ledger.known.restatement(
                        books.tenant_id.bytes, query, after=after, count=size + 1
                    )
                    assert page is not None
                    shown = [one.journal_entry_id for one in page.entries[:size]]
                    found += shown
                    after = page.searched_to
                    if len(page.entries) > size:
                        after = uuid.UUID(shown[-1]).bytes
                    elif after is not None:
                        early_ends += 1
                    if after is None:
                        break
                assert found == expected, (day, known_from, known_to)

    asyncio.run(check())
    assert early_ends, "nothing was looked for in more than a page"


def test_the_pages_of_a_rare_event_hold_it_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_reads, "AUDIT_EVENTS_SEARCHED_MAX", 10)
    books = Books(database_url)
    insert(
        books,
        "INSERT INTO audit_events VALUES (%(tenant)s, %(id)s, %(n)s, now(), 'l', %(action)s,"
        " 'refused', 'a', 's', 's', NULL, NULL, 1, '{}', sha256(''), sha256(''))",
        [
            {
                "id": uuid.UUID(int=n),
                "n": 1_000 + n,
                "action": "period.close" if n in (8, 31) else "access.denied",
            }
            for n in range(1, 36)
        ],
    )

    async def pages(action: bytes | None) -> list[list[int]]:
        found, before = [], b"\xff" * 16
        async with open_ledger(database_url) as ledger:
            while True:
                page = await ledger.audit.events(
                    books.tenant_id.bytes, since=bytes(16), before=before, count=4, action=action,
                    outcome=b"refused" if action else None, actor=None,
                )  # fmt: skip
                found.append([one.event_number for one in page.events])
                if page.searched_to is None:
                    return found
                before = uuid.UUID(page.searched_to).bytes

    assert asyncio.run(pages(b"period.close")) == [[1_031], [], [1_008], []]
    everything = [number for page in asyncio.run(pages(None)) for number in page]
    assert everything == [1, *range(1_035, 1_000, -1)]


def test_what_was_delivered_long_ago_is_forgotten_in_steps(
    database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpts.domain.limits.WEBHOOK_FORGOTTEN_AT_ONCE", 4)

    async def forget(tenant_id: bytes, endpoint_id: str) -> None:
        connection = await RelayConnection.open(database_url)
        try:
            await connection.forget(tenant_id, endpoint_id)
        finally:
            await connection.close()

    with opened(database_url, tmp_path) as world:
        endpoint_id, _ = world.endpoint("https://192.0.2.1/")
        insert(
            world.books,
            "INSERT INTO webhook_deliveries VALUES (%(tenant)s, %(endpoint)s, gen_random_uuid(), 1,"
            " %(n)s, %(status)s, 1, now(), now() - make_interval(days => %(days)s))",
            [
                {
                    "endpoint": endpoint_id,
                    "n": n,
                    "days": 1 if n == 2 else 9,
                    "status": "parked" if n == 5 else "delivered",
                }
                for n in range(20)
            ],
        )
        asyncio.run(forget(world.books.tenant_id.bytes, str(endpoint_id)))
        assert sorted(one.place for one in world.deliveries(endpoint_id)) == [2, 5]
