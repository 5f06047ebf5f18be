"""Changes of the key set on their way into the audit record: kept while the database is away."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from hpts.http.jwks import KeySet, parse_key_set
from hpts.http.key_record import KeyRecord
from hpts.store.wire import ConnectionLost, StatementFailed

from .signing_keys import EC_JWK, ED_JWK, RSA_JWK

READ_ONLY = StatementFailed("issuer keys", "25006", "read-only")
NO_GRANT = StatementFailed("issuer keys", "42501", "permission denied")
DISK_FULL = StatementFailed("issuer keys", "53100", "disk full")


def key_set(*jwks: object) -> KeySet:
    return parse_key_set(json.dumps({"keys": jwks}).encode())


class Written:
    """What was written; fails as often as it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sets: list[list[str | None]] = []
        self.tries = 0

    def __call__(self, keys: Mapping[str, str | None]) -> int:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        self.sets.append(sorted(keys.values(), key=str))
        return 0


async def until_idle(record: KeyRecord) -> None:
    assert record._writing is not None
    await asyncio.wait_for(asyncio.shield(record._writing), 10)


@pytest.mark.parametrize("error", [ConnectionLost("away"), DISK_FULL])
def test_what_cannot_be_recorded_yet_is_tried_again(error: Exception) -> None:
    written = Written(error, error)

    async def scenario() -> None:
        record = KeyRecord(written, retry_seconds=0)
        record.note(key_set(RSA_JWK))
        await until_idle(record)

    asyncio.run(scenario())
    assert (written.tries, written.sets) == (3, [["rsa"]])


def test_only_the_newest_set_waits() -> None:
    written = Written(ConnectionLost("away"))

    async def scenario() -> None:
        record = KeyRecord(written, retry_seconds=0.2)
        record.note(key_set(RSA_JWK))
        while not written.tries:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        record.note(key_set(RSA_JWK, EC_JWK))
        record.note(key_set(ED_JWK))
        await until_idle(record)

    asyncio.run(scenario())
    assert written.sets == [["ed"]]


@pytest.mark.parametrize("error", [READ_ONLY, NO_GRANT])
def test_what_never_can_be_is_told_of_once(error: Exception) -> None:
    written = Written(error)

    async def scenario() -> None:
        record = KeyRecord(written, retry_seconds=0)
        record.note(key_set(RSA_JWK))
        await until_idle(record)
        assert written.tries == 1
        record.note(key_set(EC_JWK))
        await until_idle(record)

    asyncio.run(scenario())
    assert written.sets == [["ec"]]


def test_a_stop_waits_for_no_database() -> None:
    written = Written(*[ConnectionLost("away")] * 10_000)

    async def scenario() -> None:
        record = KeyRecord(written, retry_seconds=3600)
        record.note(key_set(RSA_JWK))
        while not written.tries:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await asyncio.wait_for(record.stop(), 5)

    asyncio.run(scenario())
