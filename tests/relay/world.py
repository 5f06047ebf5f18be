"""A tenant with webhook endpoints, receivers and relays in processes of their own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hpts.domain.audit import Origin
from hpts.domain.webhooks import format_secret
from hpts.http.webhook_secrets import WebhookKey, new_key_text
from hpts.ledger import Ledger
from hpts.store.admin_requests import AdminRequests
from hpts.store.webhooks import (
    Changer,
    DeliveryRow,
    create_endpoint,
    delete_endpoint,
    redrive,
    rotate_secret,
)
from tests.conftest import as_application, clean_environment, free_port
from tests.store.ledger_fixture import Books

ROOT = Path(__file__).parents[2]
WAIT_SECONDS_MAX = 40


def wait_until(true: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS_MAX) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)


@contextmanager
def process(*arguments: str, log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process; killed at the end if it still runs."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, *arguments],
            env=clean_environment(**variables),
            stderr=output,
            cwd=ROOT,
        )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


class Receiver:
    """A receiver that may be killed and started again on the same port, with the same notes."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._notes, self._mode = folder / f"{self.port}.notes", folder / f"{self.port}.mode"
        self._log = folder / f"{self.port}.log"
        self._stack = ExitStack()
        self.answer("200")

    def answer(self, how: str) -> None:
        """From now on: a status, `hang` or `redirect`, and perhaps for whom."""
        new = self._mode.with_suffix(".new")
        new.write_text(how)
        new.rename(self._mode)

    def start(self) -> None:
        arguments = ("-m", "tests.relay.receiver", str(self.port), str(self._notes))
        self._stack.enter_context(process(*arguments, str(self._mode), log=self._log))

    def kill(self) -> None:
        self._stack.close()

    def notes(self) -> list[dict[str, Any]]:
        if not self._notes.exists():
            return []
        lines = self._notes.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def accepted(self) -> list[str]:
        """The entries of the messages that were answered 2xx, in the order of their arrival."""
        return [
            json.loads(note["body"])["journal_entry_id"]
            for note in self.notes()
            if 200 <= note["status"] <= 299
        ]


class World:
    """Start it with `opened`."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url, self.folder = database_url, folder
        self.books = Books(database_url)
        self.key_file = folder / "webhook.key"
        self.key_file.write_bytes(new_key_text())
        self.key = WebhookKey.load(self.key_file)
        self.stack = ExitStack()
        self._requests = AdminRequests(database_url)

    def receiver(self) -> Receiver:
        made = Receiver(self.folder)
        made.start()
        self.stack.callback(made.kill)
        return made

    def relay(self) -> subprocess.Popen[bytes]:
        """`hpts relay`, as an operator starts it."""
        return self.stack.enter_context(
            process(
                "-m",
                "hpts.cli",
                "relay",
                log=self.folder / "relay.log",
                HPTS_DATABASE_URL=as_application(self.database_url),
                HPTS_WEBHOOK_KEY=str(self.key_file),
                HPTS_WEBHOOK_NETWORKS="127.0.0.0/8",
            )
        )

    def endpoint(self, url: str, *event_types: str) -> tuple[uuid.UUID, str]:
        """(endpoint, its secret as a client is shown it)."""
        endpoint_id, secret = uuid.uuid4(), os.urandom(32)
        tenant_id = self.books.tenant_id.bytes

        async def create() -> None:
            async with AdminRequests(self.database_url).transaction(tenant_id) as connection:
                assert await create_endpoint(
                    connection,
                    Changer(tenant_id, "tester", Origin()),
                    endpoint_id=endpoint_id,
                    url=url,
                    event_types=[*event_types],
                    sealed_secret=self.key.seal(tenant_id, secret),
                )

        asyncio.run(create())
        return endpoint_id, format_secret(secret)

    def rotate(self, endpoint_id: uuid.UUID) -> str:
        """The new secret as a client is shown it; the old one lives for a day."""
        tenant_id, secret = self.books.tenant_id.bytes, os.urandom(32)

        async def rotate() -> None:
            async with AdminRequests(self.database_url).transaction(tenant_id) as connection:
                assert await rotate_secret(
                    connection,
                    Changer(tenant_id, "tester", Origin()),
                    endpoint_id=endpoint_id,
                    sealed_secret=self.key.seal(tenant_id, secret),
                    hours=24,
                )

        asyncio.run(rotate())
        return format_secret(secret)

    def delete(self, endpoint_id: uuid.UUID) -> None:
        tenant_id = self.books.tenant_id.bytes

        async def delete() -> None:
            async with AdminRequests(self.database_url).transaction(tenant_id) as connection:
                by = Changer(tenant_id, "tester", Origin())
                assert await delete_endpoint(connection, by, endpoint_id=endpoint_id)

        asyncio.run(delete())

    def redrive(self, endpoint_id: uuid.UUID) -> int | None:
        tenant_id = self.books.tenant_id.bytes

        async def drive() -> int | None:
            async with AdminRequests(self.database_url).transaction(tenant_id) as connection:
                return await redrive(
                    connection,
                    Changer(tenant_id, "tester", Origin()),
                    endpoint_id=endpoint_id,
                    journal_entry_id=None,
                )

        return asyncio.run(drive())

    def deliveries(self, endpoint_id: uuid.UUID) -> list[DeliveryRow]:
        async def read() -> list[DeliveryRow]:
            ledger = Ledger(self.database_url)
            try:
                return await ledger.webhooks.deliveries(
                    self.books.tenant_id.bytes,
                    endpoint_id.bytes,
                    before=(2**62, 0),
                    count=10_000,
                    status=None,
                )
            finally:
                await ledger.close()

        return asyncio.run(read())


@contextmanager
def opened(database_url: str, folder: Path) -> Iterator[World]:
    world = World(database_url, folder)
    try:
        yield world
    finally:
        world.stack.close()


def kill(started: subprocess.Popen[bytes]) -> None:
    started.send_signal(signal.SIGKILL)
    started.wait()
