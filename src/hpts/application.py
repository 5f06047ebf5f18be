"""Wiring: builds the application of one worker from its settings, every part by hand.

granian calls `build_application` inside each worker process; the workers read the same environment
as the process that starts them, so both see one configuration.
"""

import asyncio
import ctypes
import gc
import importlib.util
import ipaddress
import multiprocessing
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from functools import partial

from hpts.config import ConfigError, Settings, load_settings
from hpts.domain.audit import Action
from hpts.http import (
    accounting,
    audit_events,
    balances,
    docs,
    feed,
    journal,
    periods,
    postings,
    restatement,
)
from hpts.http.administration import Administration
from hpts.http.app import App, Handler
from hpts.http.asgi import AsgiAdapter
from hpts.http.audit_trail import AuditTrail
from hpts.http.auth import Verifier
from hpts.http.bank_accounts import BankAccountEndpoints
from hpts.http.bank_statements import BankStatementEndpoint
from hpts.http.checkpoint_key import CheckpointKey
from hpts.http.client_certificate import Entrance
from hpts.http.development import DevelopmentEndpoints
from hpts.http.health import Health
from hpts.http.issuer import DevelopmentIssuer
from hpts.http.jwks import COOL_DOWN_SECONDS, KEY_SET_BYTES_MAX, KeySource
from hpts.http.kept_keys import KeptKeys
from hpts.http.key_record import KeyRecord
from hpts.http.messages import Response
from hpts.http.partners import TenantMarks
from hpts.http.proofs import ProofEndpoints
from hpts.http.rate_limit import RateLimits
from hpts.http.reconciliation import Reconciler
from hpts.http.reconciliation_items import ReconciliationItemEndpoints
from hpts.http.routes import DEVELOPMENT_ROUTES, ROUTES, UNDOCUMENTED_ROUTES, RouteTable
from hpts.http.rsgi import RsgiAdapter
from hpts.http.webhook_secrets import WebhookKey
from hpts.http.webhooks import WebhookEndpoints
from hpts.ledger import Ledger
from hpts.metrics.sampler import Sampler
from hpts.spans import SPANS
from hpts.store.admin_requests import AdminRequests
from hpts.store.audit import AuditWriter, record_key_event
from hpts.store.bank_session import BankSessions
from hpts.store.bank_status import bank_statuses
from hpts.store.issuer_keys import record_issuer_keys
from hpts.store.migrate import load_migrations
from hpts.store.reconcile_schedule import ReconcileSchedule
from hpts.store.seen_blocks import SeenBlocks
from hpts.telemetry import JsonLines, configure_logging

PR_SET_PDEATHSIG = 1
COLLECTOR_THRESHOLDS = (50_000, 20, 20)
"""When Python looks for reference cycles: a request makes none, so it need not look every 700
objects, which at saturation are a few requests in flight.
"""
LAST_LINES_SECONDS_MAX = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
KEPT_KEYS = KeptKeys(KEY_SET_BYTES_MAX)
SEEN_BLOCKS = SeenBlocks()
"""Both are made when the server imports this, before any process is forked, so that all of them
share them."""
READS: dict[str, Callable[..., Awaitable[Response]]] = {
    "getLoanBalance": balances.get_loan_balance,
    "listLoanJournalEntries": journal.list_loan_journal_entries,
    "getAccountBalance": balances.get_account_balance,
    "listAccounts": accounting.list_accounts,
    "getRestatement": restatement.get_restatement,
    "getTrialBalance": accounting.get_trial_balance,
    "listAccountEntries": accounting.list_account_entries,
    "getLoan": accounting.get_loan,
    "getLoanStatement": accounting.get_loan_statement,
    "listJournalEntries": feed.list_journal_entries,
    "getJournalEntry": journal.get_journal_entry,
    "listPeriods": periods.list_periods,
    "listAuditEvents": audit_events.list_audit_events,
}
"""What is answered from the ledger's reads alone."""


def build_application() -> RsgiAdapter | AsgiAdapter:
    """A worker's application. Called by granian inside each worker process."""
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # see _hear_stop_signals
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    settings = load_settings()
    lines = configure_logging(settings.log_level)
    _start_traces(settings)
    if settings.database_url is None or settings.issuer is None or settings.jwks_url is None:
        raise ConfigError("the worker was started without its settings")
    ledger = Ledger(
        settings.database_url,
        read_database_url=settings.read_database_url,
        seen=SEEN_BLOCKS,
        queue_max=settings.queue_limit,
    )
    key_record = KeyRecord(partial(record_issuer_keys, settings.database_url, settings.issuer))
    keys = KeySource(
        settings.jwks_url,
        refresh_seconds=settings.jwks_refresh_seconds,
        cool_down_seconds=min(COOL_DOWN_SECONDS, settings.jwks_refresh_seconds),
        kept=KEPT_KEYS,
        note=key_record.note,
    )
    schedule = _reconcile_schedule(settings, settings.database_url)
    is_for_partners = settings.listener == "partner"
    entrance = Entrance(is_for_partners=is_for_partners, trusted_proxies=settings.trusted_proxies)
    trail = AuditTrail(AuditWriter(settings.database_url))
    sampler = Sampler(ledger)
    issuer = settings.dev_issuer_dir and DevelopmentIssuer.open(settings.dev_issuer_dir)
    app = App(
        routes=RouteTable(ROUTES + UNDOCUMENTED_ROUTES + (DEVELOPMENT_ROUTES if issuer else ())),
        handlers=_handlers(settings, ledger, settings.database_url)
        | (DevelopmentEndpoints(issuer, settings.audience).handlers() if issuer else {}),
        verifier=_verifier(settings, settings.issuer, keys),
        entrance=entrance,
        marks=TenantMarks(ledger.reads.requires_mtls),
        reach=ledger.reach,
        rate_limits=RateLimits(settings.rate_limit_writes, settings.rate_limit_reads),
        trail=trail,
        lines=lines,
        problem_base_url=settings.problem_base_url,
        start=partial(_start, ledger, keys, schedule, sampler),
        stop=partial(_stop, ledger, trail, keys, key_record, schedule, sampler, lines),
        serve=_hear_stop_signals,
        server_timing=settings.server_timing,
    )
    gc.freeze()  # what lives as long as the worker is never looked at again
    return RsgiAdapter(app) if settings.interface == "rsgi" else AsgiAdapter(app)


async def _start(
    ledger: Ledger, keys: KeySource, schedule: ReconcileSchedule | None, sampler: Sampler
) -> None:
    _on_stop_signal(ledger.heads.close)
    await keys.start()
    sampler.start()
    if schedule is not None:
        schedule.start()


async def _stop(
    ledger: Ledger,
    trail: AuditTrail,
    keys: KeySource,
    key_record: KeyRecord,
    schedule: ReconcileSchedule | None,
    sampler: Sampler,
    lines: JsonLines,
) -> None:
    if schedule is not None:
        schedule.stop()
    await ledger.close()
    await trail.stop()  # after the last postings were refused
    sampler.stop()
    await keys.stop()
    await key_record.stop()
    # Who reads the log or the traces may have stopped: a stop waits for them no longer than this.
    flushing = threading.Thread(target=_flush, args=(lines,), daemon=True)
    flushing.start()
    await asyncio.to_thread(flushing.join, LAST_LINES_SECONDS_MAX)


def _flush(lines: JsonLines) -> None:
    lines.flush()
    if SPANS.tracer is not None:
        SPANS.tracer.stop()


def _reconcile_schedule(settings: Settings, database_url: str) -> ReconcileSchedule | None:
    if not settings.reconcile_seconds or settings.listener == "partner":
        return None
    return ReconcileSchedule(
        database_url,
        every_seconds=settings.reconcile_seconds,
        full_every_seconds=settings.reconcile_full_hours * 3600,
    )


def _verifier(settings: Settings, issuer: str, keys: KeySource) -> Verifier:
    return Verifier(
        keys,
        issuer=issuer,
        audience=settings.audience,
        algorithms=settings.jwt_algorithms,
        partner_clients=settings.partner_clients,
    )


def _handlers(settings: Settings, ledger: Ledger, database_url: str) -> dict[str, Handler]:
    def posting(operation: postings.Operation) -> Handler:
        return partial(
            postings.post,
            ledger=ledger,
            operation=operation,
            body_bytes_max=settings.max_body_bytes,
        )

    proofs = ProofEndpoints(ledger, load_checkpoint_key(settings))
    admin_requests = AdminRequests(database_url)
    administration = Administration(admin_requests, settings.max_body_bytes)
    changes = periods.PeriodEndpoints(administration)
    health = Health(ledger, schema_version=len(load_migrations()), git_sha=settings.git_sha)
    return {
        "postPayment": posting(postings.POST_PAYMENT),
        "postDisbursement": posting(postings.POST_DISBURSEMENT),
        "postAccrualBatch": posting(postings.POST_ACCRUAL_BATCH),
        "postReversal": posting(postings.POST_REVERSAL),
        "getJournalEntryProof": proofs.get_journal_entry_proof,
        "getLatestCheckpoint": proofs.get_latest_checkpoint,
        "getCheckpoint": proofs.get_checkpoint,
        "getConsistencyProof": proofs.get_consistency_proof,
        **_webhooks(settings, ledger, admin_requests, administration).handlers(),
        **_reconciliation_handlers(settings, ledger, database_url, admin_requests, administration),
        "closePeriod": changes.close_period,
        "reopenPeriod": changes.reopen_period,
        "getLiveness": health.get_liveness,
        "getReadiness": health.get_readiness,
        "getDocument": docs.get_document,
        "getDocsPage": docs.get_docs_page,
        "getDocsAsset": docs.get_docs_asset,
    } | {name: partial(handler, ledger=ledger) for name, handler in READS.items()}


def _webhooks(
    settings: Settings, ledger: Ledger, requests: AdminRequests, administration: Administration
) -> WebhookEndpoints:
    networks = [ipaddress.ip_network(network) for network in settings.webhook_networks]
    return WebhookEndpoints(ledger, requests, administration, load_webhook_key(settings), networks)


def load_webhook_key(settings: Settings) -> WebhookKey | None:
    """The key that seals the secrets of webhooks, or None where none is set. Raises ConfigError."""
    if settings.webhook_key is None:
        return None
    try:
        return WebhookKey.load(settings.webhook_key)
    except (OSError, ValueError) as error:
        raise ConfigError(f"HPTS_WEBHOOK_KEY: {error}") from error


def _reconciliation_handlers(
    settings: Settings,
    ledger: Ledger,
    database_url: str,
    admin_requests: AdminRequests,
    administration: Administration,
) -> dict[str, Handler]:
    sessions = BankSessions(admin_requests)
    reconciler = Reconciler(
        database_url,
        ledger.reads.check_tenant,
        partial(bank_statuses, sessions, pending_days=settings.bank_pending_days),
    )
    accounts = BankAccountEndpoints(administration, sessions)
    statements = BankStatementEndpoint(administration, sessions, settings.max_body_bytes)
    items = ReconciliationItemEndpoints(administration, sessions)
    return {
        "getReconciliationStatus": reconciler.get_reconciliation_status,
        "postBankAccount": accounts.post_bank_account,
        "listBankAccounts": accounts.list_bank_accounts,
        "postBankStatement": statements.post_bank_statement,
        "listReconciliationItems": items.list_reconciliation_items,
        "postReconciliationMatch": items.post_match,
        "undoReconciliationMatch": items.undo_match,
    }


def load_checkpoint_key(settings: Settings) -> CheckpointKey | None:
    """The key that signs checkpoints, or None where none is set. Raises ConfigError."""
    if settings.checkpoint_key is None:
        return None
    try:
        return CheckpointKey.load(settings.checkpoint_key)
    except (OSError, ValueError) as error:
        raise ConfigError(f"HPTS_CHECKPOINT_KEY: {error}") from error


def record_key_use(settings: Settings, database_url: str) -> None:
    """Record with which keys this server begins to sign checkpoints and to seal webhooks' secrets,
    where it has them. Raises ConfigError, psycopg.Error."""
    key = load_checkpoint_key(settings)
    if key is not None:
        record_key_event(database_url, Action.KEY_USE, f"checkpoint key {key.fingerprint}")
    record_webhook_key_use(settings, database_url)


def record_webhook_key_use(settings: Settings, database_url: str) -> None:
    """As record_key_use, of a relay, which has no other key."""
    key = load_webhook_key(settings)
    if key is not None:
        record_key_event(database_url, Action.KEY_USE, f"webhook key {key.fingerprint}")


def _on_stop_signal(act: Callable[[], None]) -> None:
    """Call `act` when the worker is told to stop, before the server waits for open requests.

    The server's own handlers, which the loop calls, hear the signal as before: they hang on the
    interpreter's wakeup descriptor, not on the handler that this replaces.
    """
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))


def _hear_stop_signals() -> None:
    """A loop hears signals only while it runs, and granian starts the application in one run and
    serves in another. A stop that comes while a worker starts waits for the second: between them
    it would be lost, and the server would wait for the worker in vain."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def check_traces(settings: Settings) -> None:
    """Raises ConfigError where traces are asked for and what sends them is not installed."""
    if settings.traces != "off" and importlib.util.find_spec("opentelemetry") is None:
        raise ConfigError("HPTS_TRACES=otlp needs the extra: pip install 'hpts[otel]'")


def _start_traces(settings: Settings) -> None:
    if settings.traces != "off":
        from hpts.otel import OpenTelemetryTracer  # noqa: PLC0415  (an extra, not always installed)

        SPANS.tracer = OpenTelemetryTracer.to_collector()


def die_with_parent() -> None:
    """A worker whose starter was killed would hold the port: the kernel ends it instead. A starter
    that ended before the kernel was asked has already given it another parent."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    starter = multiprocessing.parent_process()
    if starter is not None and os.getppid() != starter.pid:
        os._exit(1)
