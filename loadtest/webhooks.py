"""Measures webhooks on this machine: `python -m loadtest.webhooks`.

Starts an embedded PostgreSQL, a relay and a receiver in processes of their own. First how fast a
backlog is delivered; then payments at a steady rate, timed from the answer to a payment, which is
after its commit, to the receipt.
"""

import argparse
import asyncio
import datetime
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from psycopg.conninfo import make_conninfo

from hpts.development import create_database
from hpts.domain.audit import Origin
from hpts.domain.disbursement import Disbursement
from hpts.domain.entries import day_of
from hpts.domain.payment import Payment
from hpts.embedded import EmbeddedPostgres
from hpts.http.webhook_secrets import WebhookKey, new_key_text
from hpts.ledger import Ledger
from hpts.posting import Command, Posted, Posting
from hpts.store.admin_requests import AdminRequests
from hpts.store.migrate import migrate
from hpts.store.tenants import add_tenant
from hpts.store.webhooks import Changer, create_endpoint

LOANS = 500
DRAIN_SECONDS_MAX = 120
DAY = day_of(datetime.datetime.now(datetime.UTC).date())


def receive(port: int, notes: Path) -> None:
    """The receiver: notes when each entry came."""
    output = notes.open("ab", buffering=0)

    async def note(request: web.Request) -> web.Response:
        await request.read()
        output.write(f"{request.headers['webhook-id']} {time.time()}\n".encode())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", note)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


def arrivals(notes: Path) -> dict[str, float]:
    lines = notes.read_text().splitlines() if notes.exists() else []
    return {entry: float(at) for entry, at in (line.split() for line in lines)}


def posting(command: Command) -> Posting:
    made = uuid.uuid4()
    return Posting(
        command,
        idempotency_key=f"load:{made}".encode(),
        request_digest=made.bytes * 2,
        actor=b"load",
        render=lambda receipt: receipt.journal_entry_id,
    )


async def post(ledger: Ledger, tenant: bytes, command: Command) -> tuple[str, float]:
    outcome = await ledger.post(tenant, posting(command))
    if not isinstance(outcome, Posted):
        raise RuntimeError(f"not posted: {outcome}")
    return str(uuid.UUID(bytes=outcome.journal_entry_id)), time.time()


async def measure(
    url: str,
    tenant_id: uuid.UUID,
    key: WebhookKey,
    notes: Path,
    arguments: argparse.Namespace,
    start_relay: Callable[[], None],
) -> None:
    tenant = tenant_id.bytes
    ledger = Ledger(url)
    loans = [uuid.uuid4().bytes for _ in range(LOANS)]
    opening = {"currency": b"USD", "effective_day": DAY, "details": b"{}"}
    for loan in loans:
        await post(
            ledger,
            tenant,
            Disbursement(loan_id=loan, borrower_id=loan, amount_minor=10**9, **opening),
        )
    async with AdminRequests(url).transaction(tenant) as connection:
        await create_endpoint(
            connection,
            Changer(tenant, "load", Origin()),
            endpoint_id=uuid.uuid4(),
            url=f"http://127.0.0.1:{arguments.port}/",
            event_types=[],
            sealed_secret=key.seal(tenant, os.urandom(32)),
        )

    async def pay(number: int) -> tuple[str, float]:
        loan = loans[number % LOANS]
        return await post(
            ledger, tenant, Payment(loan_id=loan, borrower_id=loan, amount_minor=1, **opening)
        )

    async def drain(wanted: set[str]) -> dict[str, float]:
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        while not wanted <= (found := arrivals(notes)).keys():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(wanted - found.keys())} entries never came")
            await asyncio.sleep(0.2)
        return found

    backlog = []
    for at in range(0, arguments.backlog, 400):
        backlog += await asyncio.gather(*(pay(at + each) for each in range(400)))
    start_relay()
    found = await drain({entry for entry, _ in backlog})
    times = sorted(found[entry] for entry, _ in backlog)
    print(f"backlog of {len(times)}: {(len(times) - 1) / (times[-1] - times[0]):.0f} deliveries/s")

    begun, tasks = time.monotonic(), []
    for number in range(arguments.rate * arguments.seconds):
        await asyncio.sleep(max(0, begun + number / arguments.rate - time.monotonic()))
        tasks.append(asyncio.create_task(pay(number)))
    posted = await asyncio.gather(*tasks)
    rate = len(posted) / (time.monotonic() - begun)
    found = await drain({entry for entry, _ in posted})
    late = sorted(found[entry] - at for entry, at in posted)
    shown = ", ".join(
        f"p{part:g} {late[min(len(late) - 1, int(len(late) * part / 100))] * 1000:.0f} ms"
        for part in (50, 95, 99, 99.9)
    )
    print(f"at {rate:.0f} payments/s, from commit to receipt: {shown}")
    await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=500, help="payments a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--backlog", type=int, default=20_000, help="entries to be caught up")
    parser.add_argument("--port", type=int, default=18_181, help="of the receiver, on loopback")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hpts-webhooks-") as name:
        folder = Path(name)
        key_file, notes = folder / "webhook.key", folder / "notes"
        key_file.write_bytes(new_key_text())
        started: list[subprocess.Popen[bytes]] = []
        with EmbeddedPostgres(folder / "state") as postgres:
            url = make_conninfo(create_database(postgres.url))
            migrate(url)
            tenant_id = add_tenant(url, "load")
            code = (
                f"from loadtest.webhooks import *; receive({arguments.port}, Path({str(notes)!r}))"
            )

            def start_relay() -> None:
                settings = {"HPTS_DATABASE_URL": url, "HPTS_WEBHOOK_KEY": str(key_file)}
                settings["HPTS_WEBHOOK_NETWORKS"] = "127.0.0.0/8"
                relay = [sys.executable, "-m", "hpts.cli", "relay"]
                started.append(subprocess.Popen(relay, env=os.environ | settings))

            try:
                started.append(subprocess.Popen([sys.executable, "-c", code]))
                key = WebhookKey.load(key_file)
                asyncio.run(measure(url, tenant_id, key, notes, arguments, start_relay))
            finally:
                for process in started:
                    process.kill()
                    process.wait()


if __name__ == "__main__":
    main()
