"""Wiring: builds a worker's application from the settings, and runs granian over it.

The workers read the same environment as the process that starts them, so both see one
configuration.
"""

import asyncio
import ctypes
import gc
import multiprocessing
import os
import resource
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server
from granian.server.common import AbstractServer

from hpts.config import ConfigError, Settings, environment_of, load_settings
from hpts.domain import limits
from hpts.http import balances, docs, journal, postings
from hpts.http.app import App, Handler
from hpts.http.asgi import AsgiAdapter
from hpts.http.auth import Verifier
from hpts.http.checkpoint_key import CheckpointKey
from hpts.http.client_certificate import Entrance
from hpts.http.development import DevelopmentEndpoints
from hpts.http.health import Health
from hpts.http.issuer import DevelopmentIssuer
from hpts.http.jwks import COOL_DOWN_SECONDS, KEY_SET_BYTES_MAX, KeySource
from hpts.http.kept_keys import KeptKeys
from hpts.http.messages import Request, Response
from hpts.http.partners import TenantMarks
from hpts.http.proofs import ProofEndpoints
from hpts.http.rate_limit import RateLimits
from hpts.http.reconciliation import Reconciler
from hpts.http.routes import DEVELOPMENT_ROUTES, ROUTES, UNDOCUMENTED_ROUTES, RouteTable
from hpts.http.rsgi import RsgiAdapter
from hpts.ledger import Ledger
from hpts.partner_listener import PartnerListener, check_partners, settings_of_partners
from hpts.store.migrate import load_migrations
from hpts.telemetry import configure_logging

PR_SET_PDEATHSIG = 1
WORKER_STOP_SECONDS_MAX = 20
"""Longer than a posting may wait, so that what was accepted is answered before a worker is
killed.
"""
BACKLOG = 2048
FILES_KEPT = 256
"""Descriptors of a worker that are not connections of clients: the database's, logs, libraries."""
COLLECTOR_THRESHOLDS = (50_000, 20, 20)
"""When Python looks for reference cycles: a request makes none, so it need not look every 700
objects, which at saturation are a few requests in flight.
"""
LAST_LINES_SECONDS_MAX = 1
KEPT_KEYS = KeptKeys(KEY_SET_BYTES_MAX)
"""Made before any process is forked, so that all of them share it."""


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError where the settings or a port are no good,
    ChildProcessError when the partners' listener has ended by itself."""
    settings = msgspec.structs.replace(settings, listener="ordinary")
    check_serving(settings)
    check_ports(settings)
    os.register_at_fork(after_in_child=_forget_signal_handlers)
    server = _build_server(settings)
    if settings.partner_port is None:
        _serve(server)
        return
    is_lost = threading.Event()

    def on_end() -> None:
        if not server.interrupt_signal:  # of Ctrl-C both hear
            is_lost.set()
            server.signal_handler_interrupt()  # type: ignore[no-untyped-call]

    listener = PartnerListener(partial(_serve_partners, settings), on_end)
    listener.start()
    server.on_startup(listener.stop_on_signals)
    server.on_reload(partial(listener.reload, settings))
    try:
        _serve(server)
    finally:
        listener.stop()
    if is_lost.is_set():
        raise ChildProcessError("the partners' listener has ended; its log lines say why")


def _serve_partners(settings: Settings) -> None:
    """The partners' listener, in a process of its own."""
    _die_with_parent()
    _serve(_build_server(settings_of_partners(settings)))


def _build_server(settings: Settings) -> AbstractServer[Any]:
    """granian over this worker's application. Its workers read `settings` from the environment."""
    os.environ.update(environment_of(settings))
    is_for_partners = settings.listener == "partner"
    return Server(
        "hpts.server:build_application",
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


def load_checkpoint_key(settings: Settings) -> CheckpointKey | None:
    """The key that signs checkpoints, or None where none is set. Raises ConfigError."""
    if settings.checkpoint_key is None:
        return None
    try:
        return CheckpointKey.load(settings.checkpoint_key)
    except (OSError, ValueError) as error:
        raise ConfigError(f"HPTS_CHECKPOINT_KEY: {error}") from error


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


def build_application() -> RsgiAdapter | AsgiAdapter:
    """A worker's application. Called by granian inside each worker process."""
    _die_with_parent()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    settings = load_settings()
    lines = configure_logging(settings.log_level)
    if settings.database_url is None or settings.issuer is None or settings.jwks_url is None:
        raise ConfigError("the worker was started without its settings")
    ledger = Ledger(settings.database_url, queue_max=settings.queue_limit)
    keys = KeySource(
        settings.jwks_url,
        refresh_seconds=settings.jwks_refresh_seconds,
        cool_down_seconds=min(COOL_DOWN_SECONDS, settings.jwks_refresh_seconds),
        kept=KEPT_KEYS,
    )

    async def stop() -> None:
        await ledger.close()
        await keys.stop()
        # The log's reader may have stopped reading: a stop waits for it no longer than this.
        flushing = threading.Thread(target=lines.flush, daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, LAST_LINES_SECONDS_MAX)

    issuer = settings.dev_issuer_dir and DevelopmentIssuer.open(settings.dev_issuer_dir)
    app = App(
        routes=RouteTable(ROUTES + UNDOCUMENTED_ROUTES + (DEVELOPMENT_ROUTES if issuer else ())),
        handlers=_handlers(settings, ledger, settings.database_url)
        | (DevelopmentEndpoints(issuer, settings.audience).handlers() if issuer else {}),
        verifier=Verifier(
            keys,
            issuer=settings.issuer,
            audience=settings.audience,
            algorithms=settings.jwt_algorithms,
            partner_clients=settings.partner_clients,
        ),
        entrance=Entrance(
            is_for_partners=settings.listener == "partner",
            trusted_proxies=settings.trusted_proxies,
        ),
        marks=TenantMarks(ledger.reads.requires_mtls),
        rate_limits=RateLimits(settings.rate_limit_writes, settings.rate_limit_reads),
        lines=lines,
        problem_base_url=settings.problem_base_url,
        start=keys.start,
        stop=stop,
        server_timing=settings.server_timing,
    )
    gc.freeze()  # what lives as long as the worker is never looked at again
    return RsgiAdapter(app) if settings.interface == "rsgi" else AsgiAdapter(app)


def _handlers(settings: Settings, ledger: Ledger, database_url: str) -> dict[str, Handler]:
    def posting(operation: postings.Operation) -> Handler:
        return partial(
            postings.post,
            ledger=ledger,
            operation=operation,
            body_bytes_max=settings.max_body_bytes,
        )

    def reading(handler: Callable[[Request, Ledger], Awaitable[Response]]) -> Handler:
        return lambda request: handler(request, ledger)

    reconciler = Reconciler(database_url, ledger.reads.check_tenant)
    proofs = ProofEndpoints(ledger, load_checkpoint_key(settings))
    health = Health(ledger, schema_version=len(load_migrations()), git_sha=settings.git_sha)
    return {
        "postPayment": posting(postings.POST_PAYMENT),
        "postDisbursement": posting(postings.POST_DISBURSEMENT),
        "postAccrualBatch": posting(postings.POST_ACCRUAL_BATCH),
        "postReversal": posting(postings.POST_REVERSAL),
        "getLoanBalance": reading(balances.get_loan_balance),
        "listLoanJournalEntries": reading(journal.list_loan_journal_entries),
        "getAccountBalance": reading(balances.get_account_balance),
        "getJournalEntry": reading(journal.get_journal_entry),
        "getJournalEntryProof": proofs.get_journal_entry_proof,
        "getLatestCheckpoint": proofs.get_latest_checkpoint,
        "getCheckpoint": proofs.get_checkpoint,
        "getConsistencyProof": proofs.get_consistency_proof,
        "getReconciliationStatus": reconciler.get_reconciliation_status,
        "getLiveness": health.get_liveness,
        "getReadiness": health.get_readiness,
        "getDocument": docs.get_document,
        "getDocsPage": docs.get_docs_page,
        "getDocsAsset": docs.get_docs_asset,
    }


def _forget_signal_handlers() -> None:
    """A worker inherits handlers that only tell the server. Until it has its own, SIGTERM must end
    it, or the stop would be lost and the server would wait for it in vain; of Ctrl-C the server
    hears as well and sends SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _die_with_parent() -> None:
    """A worker whose starter was killed would hold the port: the kernel ends it instead. A starter
    that ended before the kernel was asked has already given it another parent."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    starter = multiprocessing.parent_process()
    if starter is not None and os.getppid() != starter.pid:
        os._exit(1)
