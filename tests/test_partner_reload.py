"""The partners' listener as a process: it is reloaded by itself, so that nobody's certificate goes
unseen for longer than that.
"""

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from hpts.config import Settings
from hpts.domain import limits
from hpts.partner_listener import PartnerListener
from tests.certificates import SERVER, Authority

SECONDS_MAX = 20


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    authority = Authority(tmp_path, "Partners")
    server = authority.issue("server", SERVER)
    return Settings(
        partner_port=1,
        partner_certificate=server.path,
        partner_key=server.key_path,
        partner_ca=authority.path,
    )


@pytest.fixture
def hangups() -> Iterator[None]:
    """SIGHUP waits until the process that is forked can hear it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])


@pytest.mark.usefixtures("hangups")
def test_it_is_reloaded_again_and_again_unless_a_file_is_no_good(settings: Settings) -> None:
    reading, writing = os.pipe()
    has_ended = Event()

    def serve() -> None:
        signal.signal(signal.SIGHUP, lambda *_: os.write(writing, b"."))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        while True:
            signal.pause()

    listener = PartnerListener(settings, serve, has_ended.set, reload_seconds=0.05)
    listener.start()
    try:
        for _ in range(3):
            assert is_told(reading, SECONDS_MAX)
            os.read(reading, 100)
        assert settings.partner_ca is not None
        settings.partner_ca.unlink()
        for _ in range(20):  # what was on its way
            if not is_told(reading, 0.3):
                break
            os.read(reading, 100)
        else:
            pytest.fail("it goes on being reloaded")
    finally:
        listener.stop()
        os.close(reading)
        os.close(writing)
    assert has_ended.wait(SECONDS_MAX)


def is_told(reading: int, seconds: float) -> bool:
    return bool(select.select([reading], [], [], seconds)[0])


def test_no_certificate_goes_unseen_for_longer_than_an_hour() -> None:
    assert limits.PARTNER_RELOAD_SECONDS <= 3600
