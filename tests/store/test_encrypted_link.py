"""A database elsewhere: set up as docs/OPERATIONS.md says it, reached over TLS with its certificate
checked and by logins that are no superusers. What holds on a local socket holds there.
"""

import asyncio
import random
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from hpts.ledger import Ledger
from hpts.posting import DATABASE_UNAVAILABLE, Command, Outcome, Posted
from hpts.store.migrate import migrate
from hpts.store.reconcile import reconcile
from hpts.store.tenants import add_tenant
from hpts.store.verify import verify_tenant
from tests.certificates import Authority
from tests.encrypted import Cuts, EncryptedPostgres

from .ledger_fixture import accrual, disbursement, open_ledger, payment, posting_of

HANDBOOK = Path(__file__).parents[2] / "docs/OPERATIONS.md"
PASSWORD = "with / ? # & = % : @ and spaces"
LOANS = 10_000
"""Their accrual is megabytes to the server, and as many rows come back."""
SESSIONS = """
SELECT ssl.ssl FROM pg_stat_activity JOIN pg_stat_ssl AS ssl USING (pid)
WHERE application_name = 'hpts' AND datname = 'hpts'
"""
CONNECTION_BYTES_MAX = 300_000
"""To prepare the statements takes some 60,000, so that some connections are cut amid that."""
CUTS = 5
SECONDS_MAX = 120


class Lender(NamedTuple):
    """A tenant of a server, and the URLs of both logins."""

    server: EncryptedPostgres
    tenant_id: uuid.UUID
    admin_url: str
    api_url: str


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Databases")


@pytest.fixture(scope="module")
def lender(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lender]:
    with EncryptedPostgres(tmp_path_factory.mktemp("encrypted"), authority) as server:
        set_up(server)
        admin = server.encrypted_url("ledger_admin", PASSWORD, "hpts")
        migrate(admin)
        tenant_id = add_tenant(admin, "A lender")
        yield Lender(server, tenant_id, admin, server.encrypted_url("ledger_api", PASSWORD, "hpts"))


def set_up(server: EncryptedPostgres) -> None:
    """What the handbook tells a superuser to do, statement by statement."""
    shown = re.search(r"```sql\n(.*?)```", HANDBOOK.read_text(), re.DOTALL)
    assert shown
    before, inside = shown[1].replace("'...'", f"'{PASSWORD}'").split(r"\c hpts")
    for url, statements in (
        (server.url, before),
        (server.url.replace("/postgres?", "/hpts?"), inside),
    ):
        with psycopg.connect(url, autocommit=True) as superuser:
            for statement in filter(str.strip, statements.split(";")):
                superuser.execute(statement.encode())


async def post_all(ledger: Ledger, lender: Lender, *commands: Command) -> list[Outcome]:
    tenant_id = lender.tenant_id.bytes
    return await asyncio.gather(*(ledger.post(tenant_id, posting_of(each)) for each in commands))


def play(scenario: object) -> None:
    asyncio.run(asyncio.wait_for(scenario, SECONDS_MAX))  # type: ignore[arg-type]


def entry_count(lender: Lender) -> int:
    url = lender.server.url.replace("/postgres?", "/hpts?")
    with psycopg.connect(url) as superuser:
        row = superuser.execute("SELECT count(*) FROM journal_entries").fetchone()
    assert row
    return int(row[0])


def assert_sound(lender: Lender) -> None:
    assert verify_tenant(lender.admin_url, lender.tenant_id).findings == []
    assert reconcile(lender.api_url, lender.tenant_id, None).is_sound


def test_small_and_large_batches_are_posted_over_tls(lender: Lender) -> None:
    loan_ids = [uuid.uuid4() for _ in range(LOANS)]

    async def scenario() -> None:
        async with open_ledger(lender.api_url) as ledger:
            for at in range(0, LOANS, 1_000):
                lent = [disbursement(each, 1_000) for each in loan_ids[at : at + 1_000]]
                assert all(isinstance(one, Posted) for one in await post_all(ledger, lender, *lent))
            with psycopg.connect(lender.server.url) as superuser:
                assert {row[0] for row in superuser.execute(SESSIONS)} == {True}
            commands = [
                accrual(dict.fromkeys(loan_ids, 3)),
                *(payment(one, 1) for one in loan_ids[:99]),
            ]
            for outcome in await post_all(ledger, lender, *commands):
                assert isinstance(outcome, Posted), outcome

    play(scenario())
    assert_sound(lender)


def test_a_server_whose_certificate_is_of_another_authority_is_not_spoken_to(
    lender: Lender, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "Databases")
    url = psycopg.conninfo.make_conninfo(lender.api_url, sslrootcert=str(stranger.path))

    async def scenario() -> None:
        async with open_ledger(url) as ledger:
            (outcome,) = await post_all(ledger, lender, disbursement(uuid.uuid4(), 1_000))
            assert outcome == DATABASE_UNAVAILABLE

    play(scenario())


def test_encrypted_links_that_are_cut_anywhere_lose_and_double_nothing(
    lender: Lender, seed: int
) -> None:
    draw = random.Random(seed)
    cuts = Cuts(draw, CONNECTION_BYTES_MAX)
    loan_ids = [uuid.uuid4() for _ in range(10)]
    before = entry_count(lender)

    async def scenario() -> None:
        async with lender.server.forwarded(cuts) as port:
            url = lender.server.encrypted_url("ledger_api", PASSWORD, "hpts", port)
            async with open_ledger(url) as ledger:
                lent = await post_all(
                    ledger, lender, *(disbursement(one, 1_000) for one in loan_ids)
                )
                cuts.is_cutting = True
                outcomes = [*lent]
                while cuts.count < CUTS:
                    paid = (payment(draw.choice(loan_ids), 1) for _ in range(10))
                    outcomes += await post_all(ledger, lender, *paid)
        assert all(isinstance(outcome, Posted) and not outcome.is_replay for outcome in outcomes)
        assert entry_count(lender) == before + len(outcomes)

    play(scenario())
    assert_sound(lender)
