"""Runs one relay in a process, as a command or as a child of `hpts dev`: settings, logs, loop."""

import ipaddress
import multiprocessing
import os
import signal
import threading
from multiprocessing import connection
from pathlib import Path

import uvloop

from hpts.application import die_with_parent, load_webhook_key
from hpts.config import ConfigError, Settings
from hpts.telemetry import configure_logging, logger

STOP_SECONDS_MAX = 15
RESTART_SECONDS = 1
NICE = 5
PROCESS_NAME = "hpts-relay"
"""As `ps` and `top` show it, beside workers of the same command."""
_fork = multiprocessing.get_context("fork")


def run_relay(settings: Settings) -> None:
    """Deliver until SIGTERM or SIGINT. Raises ConfigError where a setting is missing."""
    # Here and not above: `hpts dev` starts the child and need not wait for what that one loads.
    from hpts.relay.run import Relay, run_until_stopped  # noqa: PLC0415

    key = load_webhook_key(settings)
    if settings.database_url is None or key is None:
        raise ConfigError("HPTS_DATABASE_URL and HPTS_WEBHOOK_KEY must be set to deliver webhooks")
    database_url = settings.database_url
    lines = configure_logging(settings.log_level)

    async def run() -> None:
        networks = [ipaddress.ip_network(network) for network in settings.webhook_networks]
        await run_until_stopped(Relay(database_url, key, networks))

    uvloop.run(run())
    lines.flush()


class RelayChild:
    """A relay in a process of its own, which ends with the one that started it, and is started
    again when it ends before."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = threading.Lock()
        self._is_ending = threading.Event()

    def __enter__(self) -> "RelayChild":
        self._start()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def _start(self) -> None:
        self._process = _fork.Process(target=_run_child, args=(self._settings,), name=PROCESS_NAME)
        self._process.start()

    def _watch(self) -> None:
        while True:
            connection.wait([self._process.sentinel])
            if self._is_ending.wait(RESTART_SECONDS):
                return
            logger.error("the relay ended and is started again")
            with self._turn:
                if not self._is_ending.is_set():
                    self._start()

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._is_ending.set()
        self._process.terminate()
        self._process.join(STOP_SECONDS_MAX)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _run_child(settings: Settings) -> None:
    die_with_parent()
    Path("/proc/self/comm").write_text(PROCESS_NAME)
    for number in (signal.SIGTERM, signal.SIGINT):  # a later one has the server's handlers
        signal.signal(number, signal.SIG_DFL)
    os.nice(NICE)  # the server starts at the same time, and somebody waits for that
    run_relay(settings)
