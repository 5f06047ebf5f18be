"""Answers Prometheus on a port of its own, in a process of its own that no request waits for.

The process that starts the server starts it, and starts it again when it ends; both end together.
It can only read: the workers' shared memory, the database's state and the partners' files.
"""

import multiprocessing
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import Collector, CollectorRegistry

from hpts.config import Settings
from hpts.http.messages import NO_STORE
from hpts.http.security_headers import ANSWER
from hpts.metrics.collector import WorkersCollector
from hpts.metrics.database import DatabaseCollector
from hpts.metrics.partner_files import PartnerFilesCollector
from hpts.telemetry import logger

PATH = "/metrics"
PROCESS_NAME = "hpts-metrics"
"""As the system's lists of processes show it; the command is the server's, like a worker's."""
SERVER = ("Server", "hpts")
"""Instead of the versions of what serves: they concern nobody."""
CONNECTIONS_MAX = 8
CLIENT_SECONDS_MAX = 5
"""How long a client may take to say what it wants, and to take its answer."""
AGAIN_SECONDS = 1.0
_fork = multiprocessing.get_context("fork")


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS_MAX
    server_version, sys_version = SERVER[1], ""

    def log_message(self, format: str, *args: object) -> None:
        """No line: a scrape is no request of a client."""


class _Server(ThreadingMixIn, WSGIServer):
    """Takes connections from a socket that listens already; drops what is above CONNECTIONS_MAX."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, app: Any) -> None:
        WSGIServer.__init__(self, listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = listening.getsockname()[:2]
        self.setup_environ()
        self.set_app(app)
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is nobody's error."""


class MetricsListener:
    """`listening` is a socket that listens: whoever starts the server knows then that the port is
    free. `prepare` runs first in the new process."""

    def __init__(
        self, listening: socket.socket, settings: Settings, prepare: Callable[[], None]
    ) -> None:
        self._listening = listening
        self._settings = settings
        self._prepare = prepare
        self._is_stopping = threading.Event()
        self._guard = threading.Lock()
        self._process = self._start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _start(self) -> multiprocessing.process.BaseProcess:
        process = _fork.Process(target=self._serve, name="hpts-metrics")
        process.start()
        return process

    def _serve(self) -> None:
        self._prepare()
        Path("/proc/self/comm").write_text(PROCESS_NAME)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        collectors = (
            WorkersCollector(),
            DatabaseCollector.of(self._settings.database_url or ""),
            PartnerFilesCollector(self._settings),
        )
        serve_metrics(self._listening, collectors)

    def _watch(self) -> None:
        while True:
            self._process.join()
            if self._is_stopping.wait(AGAIN_SECONDS):
                return
            logger.error("the metrics listener has ended and is started again")
            with self._guard:
                if not self._is_stopping.is_set():
                    self._process = self._start()

    def stop(self) -> None:
        self._is_stopping.set()
        with self._guard:
            self._process.terminate()
        self._listening.close()


def serve_metrics(listening: socket.socket, collectors: Iterable[Collector]) -> None:
    """Answer scrapes for ever."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]]) -> Any:
            return start_response(status, [*headers, *ANSWER, NO_STORE, SERVER])

        if environ["PATH_INFO"] != PATH:
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Metrics are at /metrics.\n"]
        return metrics(environ, start)

    _Server(listening, app).serve_forever()
