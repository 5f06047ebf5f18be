"""The partners' listener: a second server in a process of its own, behind mutual TLS.

It completes a handshake only with a certificate of the partners' authority. It ends with the
process that started it, and that process stops when it ends by itself.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from types import FrameType

import msgspec

from hpts.config import ConfigError, Settings
from hpts.domain import limits
from hpts.partner_files import check_partners
from hpts.telemetry import logger

STOP_SECONDS_MAX = 25
"""A little longer than the listener gives its own workers."""
_fork = multiprocessing.get_context("fork")


class PartnerListener:
    """`serve` runs in the new process until that is told to stop; `on_end` is called in a thread of
    this one when it has ended, told or not. It is reloaded every `reload_seconds`."""

    def __init__(
        self,
        settings: Settings,
        serve: Callable[[], None],
        on_end: Callable[[], None],
        reload_seconds: float = limits.PARTNER_RELOAD_SECONDS,
    ) -> None:
        self._settings = settings
        self._process = _fork.Process(target=serve, name="hpts-partners")
        self._on_end = on_end
        self._reload_seconds = reload_seconds

    def start(self) -> None:
        self._process.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def stop_on_signals(self) -> None:
        """From now on what stops this process stops the listener at the same moment."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._relay(number, signal.getsignal(number))

    def reload(self) -> None:
        """Have the workers replaced by new ones, which read certificates and revocation lists, and
        know no session that a client could resume without showing its certificate. Where a file
        cannot be used those that are there stay."""
        try:
            check_partners(self._settings)
        except ConfigError as error:
            logger.error("the partners' listener is not reloaded: %s", error)
        else:
            self._send(signal.SIGHUP)

    def stop(self) -> None:
        """Let it answer what it accepted, then end."""
        self._send(signal.SIGTERM)
        self._process.join(STOP_SECONDS_MAX)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _relay(self, number: int, handler: object) -> None:
        def handle(received: int, frame: FrameType | None) -> None:
            if callable(handler):
                handler(received, frame)
            self._send(signal.SIGTERM)

        signal.signal(number, handle)

    def _send(self, number: int) -> None:
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def _watch(self) -> None:
        while not wait([self._process.sentinel], self._reload_seconds):
            self.reload()
        self._on_end()


def settings_of_partners(settings: Settings) -> Settings:
    """What the listener's own processes are to go by."""
    return msgspec.structs.replace(
        settings,
        listener="partner",
        port=settings.partner_port or settings.port,
        workers=settings.partner_workers,
    )
