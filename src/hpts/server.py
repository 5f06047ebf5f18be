"""Runs granian over the application: processes, ports, signals, and nothing of a request.

The partners' listener, where there is one, is a second granian in a child process.
"""

import os
import resource
import signal
import socket
import threading
from functools import partial
from typing import Any

import msgspec
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server
from granian.server.common import AbstractServer

from hpts.application import STOP_SIGNALS, check_traces, die_with_parent, load_checkpoint_key
from hpts.config import ConfigError, Settings, environment_of
from hpts.crash_loop import Respawns
from hpts.domain import limits
from hpts.metrics.listener import MetricsListener
from hpts.partner_files import check_partners
from hpts.partner_listener import PartnerListener, settings_of_partners
from hpts.telemetry import configure_logging

WORKER_STOP_SECONDS_MAX = 20
"""Longer than a posting may wait, so that what was accepted is answered before a worker is
killed.
"""
BACKLOG = 2048
METRICS_PORT = 9464
"""Where collectors look for a program's own metrics, as OpenTelemetry has it."""
FILES_KEPT = 256
"""Descriptors of a worker that are not connections of clients: the database's, logs, libraries."""


def run_server(settings: Settings, scrapes: socket.socket | None = None) -> None:
    """Serve until SIGTERM or SIGINT, metrics on `scrapes` or else HPTS_METRICS_PORT. Raises
    ConfigError where the settings or a port are no good, ChildProcessError when the partners'
    listener has ended by itself."""
    settings = msgspec.structs.replace(settings, listener="ordinary")
    check_serving(settings)
    check_ports(settings)
    let_signals_end_forks()
    if scrapes is None and settings.metrics_port is not None:
        scrapes = listen_for_scrapes(settings)
    if scrapes is None:
        _serve_all(settings)
        return
    metrics = MetricsListener(scrapes, settings, partial(_prepare_metrics, settings))
    try:
        _serve_all(settings)
    finally:
        metrics.stop()


def listen_for_scrapes(settings: Settings, *, or_any_port: bool = False) -> socket.socket:
    """A socket that listens on HPTS_METRICS_PORT, else on the usual port for it or, where that is
    taken and `or_any_port`, another. Raises ConfigError where it cannot."""
    port = settings.metrics_port or METRICS_PORT
    family = socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET
    try:
        return socket.create_server((settings.metrics_host, port), family=family)
    except OSError as error:
        if or_any_port and settings.metrics_port is None:
            return socket.create_server((settings.metrics_host, 0), family=family)
        raise ConfigError(
            f"cannot listen on {settings.metrics_host}:{port} ({error.strerror}); "
            "stop what listens there or set HPTS_METRICS_PORT"
        ) from None


def _prepare_metrics(settings: Settings) -> None:
    die_with_parent()
    configure_logging(settings.log_level)


def _serve_all(settings: Settings) -> None:
    """Clients, and partners where they have a listener of their own."""
    server = _build_server(settings)
    if settings.partner_port is None:
        _serve(server)
        return
    is_lost = threading.Event()

    def on_end() -> None:
        if not server.interrupt_signal:  # of Ctrl-C both hear
            is_lost.set()
            server.signal_handler_interrupt()  # type: ignore[no-untyped-call]

    listener = PartnerListener(settings, partial(_serve_partners, settings), on_end)
    listener.start()
    server.on_startup(listener.stop_on_signals)
    server.on_reload(listener.reload)
    try:
        _serve(server)
    finally:
        listener.stop()
    if is_lost.is_set():
        raise ChildProcessError("the partners' listener has ended; its log lines say why")


def _serve_partners(settings: Settings) -> None:
    """The partners' listener, in a process of its own."""
    die_with_parent()
    _serve(_build_server(settings_of_partners(settings)))


def _build_server(settings: Settings) -> AbstractServer[Any]:
    """granian over this worker's application. Its workers read `settings` from the environment."""
    os.environ.update(environment_of(settings))
    is_for_partners = settings.listener == "partner"
    server = Server(
        "hpts.application:build_application",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces(settings.interface),
        workers=settings.workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        websockets=False,
        backlog=BACKLOG,
        backpressure=_connections_max(),
        log_level=LogLevels.warning,
        log_access=False,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=WORKER_STOP_SECONDS_MAX,
        ssl_cert=settings.partner_certificate if is_for_partners else None,
        ssl_key=settings.partner_key if is_for_partners else None,
        ssl_ca=settings.partner_ca if is_for_partners else None,
        ssl_crl=list(settings.partner_crl) if is_for_partners else None,
        ssl_client_verify=is_for_partners,
        ssl_protocol_min=SSLProtocols.tls12,
    )
    server.respawned_wrks = Respawns()
    return server


def _serve(server: AbstractServer[Any]) -> None:
    try:
        server.serve()
    except SystemExit:
        # Ctrl-C reaches the workers too; one that ends before the server is no failure then.
        if not server.interrupt_signal:
            raise


def _connections_max() -> int:
    """Connections that a worker holds at once; a further client waits until one ends.

    An idle one costs memory only, so the bound is far above what a worker can serve: a few thousand
    that say nothing would else keep everybody out for as long as they may (30 s).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS_PER_WORKER_MAX + FILES_KEPT
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        soft = wanted
    return max(1, min(limits.CONNECTIONS_PER_WORKER_MAX, soft - FILES_KEPT))


def check_serving(settings: Settings) -> None:
    """Raises ConfigError that names every variable `hpts serve` still needs."""
    needed = {
        "HPTS_DATABASE_URL": settings.database_url,
        "HPTS_ISSUER": settings.issuer,
        "HPTS_JWKS_URL": settings.jwks_url,
    }
    load_checkpoint_key(settings)
    check_traces(settings)
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} must be set to serve; `hpts dev` needs none of them"
        )


def check_ports(settings: Settings) -> None:
    """Raises ConfigError where a port is taken or the partners' settings do not go together."""
    check_partners(settings)
    check_port(settings.host, settings.port, "HPTS_PORT")
    if settings.partner_port is not None:
        check_port(settings.host, settings.partner_port, "HPTS_PARTNER_PORT")


def check_port(host: str, port: int, variable: str) -> None:
    """Raises ConfigError when somebody listens there: granian would share the port in silence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} ({error.strerror}); "
                f"stop what listens there or set {variable}"
            ) from None


def let_signals_end_forks() -> None:
    """A worker inherits handlers that only tell the server. Until it has its own, SIGTERM must end
    it, or the stop would be lost and the server would wait for it in vain; of Ctrl-C the server
    hears as well and sends SIGTERM. What comes before the handlers are gone waits till they are."""
    os.register_at_fork(
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, STOP_SIGNALS),
        after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, STOP_SIGNALS),
        after_in_child=_forget_signal_handlers,
    )


def _forget_signal_handlers() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
