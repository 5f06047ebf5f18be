"""Settings from the environment: read once, validated all together, refused with every reason.

Nothing else in the package reads HPTS_ variables. A variable that starts with HPTS_ and is not
known stops the start, so that a misspelt setting is never silently a default.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hpts import config_values as values
from hpts.domain import limits


class ConfigError(Exception):
    """The environment cannot be used; the message lists every offending variable and why."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The effective settings of one process; the names are those of the HPTS_ variables."""

    database_url: str | None = None
    read_database_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 3000
    workers: int = 2
    interface: str = "rsgi"
    state_dir: Path = Path(".hpts")
    pg_bin: Path | None = None
    issuer: str | None = None
    audience: str = "hpts"
    jwks_url: str | None = None
    jwt_algorithms: tuple[str, ...] = ("RS256", "ES256")
    checkpoint_key: Path | None = None
    webhook_key: Path | None = None
    webhook_networks: tuple[str, ...] = ()
    problem_base_url: str = "https://errors.hpts.example.com/"
    max_body_bytes: int = limits.BODY_BYTES_MAX
    queue_limit: int = limits.QUEUE_POSTINGS_MAX
    rate_limit_writes: int | None = None
    rate_limit_reads: int | None = None
    reconcile_seconds: int = 300
    reconcile_full_hours: int = 24
    bank_pending_days: int = 5
    git_sha: str | None = None
    log_level: str = "info"
    server_timing: bool = False
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    traces: str = "off"
    dev_issuer_dir: Path | None = None
    jwks_refresh_seconds: int = 60
    partner_port: int | None = None
    partner_workers: int = 1
    partner_certificate: Path | None = None
    partner_key: Path | None = None
    partner_ca: Path | None = None
    partner_crl: tuple[Path, ...] = ()
    partner_clients: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    listener: str = "ordinary"

    @property
    def base_url(self) -> str:
        """Where the server answers, as a URL without a path."""
        return f"http://{_in_url(self.host)}:{self.port}"

    def metrics_url(self, port: int) -> str:
        """Where the metrics are that are answered on this port."""
        return f"http://{_in_url(self.metrics_host)}:{port}/metrics"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Variable(NamedTuple):
    field: str
    parse: Callable[[str], Any]
    meaning: str
    secret: bool = False


INTERFACES = ("rsgi", "asgi")
LISTENERS = ("ordinary", "partner")
TRACES = ("off", "otlp")
LOG_LEVELS = ("debug", "info", "warning", "error")
BUILD_VARIABLES = frozenset(("HPTS_SANITIZE",))


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `environ`. Raises ConfigError that names every bad or unknown variable."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in sorted(environ.items()):
        if not name.startswith("HPTS_") or name in BUILD_VARIABLES:
            continue
        variable = VARIABLES.get(name)
        if variable is None:
            problems.append(f"{name} is not a setting of HPTS; `hpts config` lists them all")
            continue
        try:
            found[variable.field] = variable.parse(text)
        except ValueError as error:
            shown = "***" if variable.secret else text
            problems.append(f"{name}={shown!r}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return Settings(**found)


def describe_settings(settings: Settings) -> list[tuple[str, str, str]]:
    """(variable, effective value with secrets masked, meaning) for every setting."""
    rows = []
    for name, variable in VARIABLES.items():
        shown = _show(getattr(settings, variable.field))
        rows.append((name, _mask_password(shown) if variable.secret else shown, variable.meaning))
    return rows


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make another process load equal settings."""
    found = {}
    for name, variable in VARIABLES.items():
        value = getattr(settings, variable.field)
        if value not in (None, ()):
            shown = _show(value)
            found[name] = shown.lower() if isinstance(value, bool) else shown
    return found


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return "" if value is None else str(value)


def _mask_password(url: str) -> str:
    if "://" in url.partition("=")[0]:
        masked = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
        return re.sub(r"(password=)[^&]*", r"\1***", masked)
    return re.sub(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|(?:[^\s\\]|\\.)+)", r"\1***", url)


VARIABLES: dict[str, _Variable] = {
    "HPTS_DATABASE_URL": _Variable(
        "database_url", values.database_url, "the PostgreSQL database", True
    ),
    "HPTS_READ_DATABASE_URL": _Variable(
        "read_database_url", values.any_database_url, "a standby of it, for reads", True
    ),
    "HPTS_HOST": _Variable("host", values.text, "address to listen on"),
    "HPTS_PORT": _Variable("port", values.whole_number(1, 65535), "port to listen on"),
    "HPTS_WORKERS": _Variable("workers", values.whole_number(1, 128), "server processes"),
    "HPTS_INTERFACE": _Variable(
        "interface", values.one_of(*INTERFACES), "between server and application: rsgi, or asgi"
    ),
    "HPTS_STATE_DIR": _Variable(
        "state_dir", values.path, "where `hpts dev` keeps its database and keys"
    ),
    "HPTS_PG_BIN": _Variable("pg_bin", values.path, "folder of initdb and postgres for `hpts dev`"),
    "HPTS_ISSUER": _Variable("issuer", values.text, "`iss` that tokens must carry"),
    "HPTS_AUDIENCE": _Variable("audience", values.text, "`aud` that tokens must carry"),
    "HPTS_JWKS_URL": _Variable(
        "jwks_url", values.url("http", "https", "file"), "the issuer's JSON Web Key Set", True
    ),
    "HPTS_JWT_ALGORITHMS": _Variable(
        "jwt_algorithms", values.algorithms, "signature algorithms accepted, comma-separated"
    ),
    "HPTS_CHECKPOINT_KEY": _Variable(
        "checkpoint_key",
        values.path,
        "file with the Ed25519 private key (PEM) that signs checkpoints",
    ),
    "HPTS_WEBHOOK_KEY": _Variable(
        "webhook_key", values.path, "file with 32 bytes in base64 that seal webhooks' secrets"
    ),
    "HPTS_WEBHOOK_NETWORKS": _Variable(
        "webhook_networks",
        values.networks,
        "private networks that webhooks may go to, also over http, comma-separated",
    ),
    "HPTS_PROBLEM_BASE_URL": _Variable(
        "problem_base_url", values.problem_base, "what a problem's `type` starts with"
    ),
    "HPTS_MAX_BODY_BYTES": _Variable(
        "max_body_bytes", values.whole_number(1024, limits.BODY_BYTES_MAX), "largest request body"
    ),
    "HPTS_QUEUE_LIMIT": _Variable(
        "queue_limit",
        values.whole_number(1, 1_000_000),
        "postings a tenant may have waiting in a worker",
    ),
    "HPTS_RATE_LIMIT_WRITES": _Variable(
        "rate_limit_writes",
        values.whole_number(1, 1_000_000),
        "POSTs a second that a tenant may send to each worker; above it 429",
    ),
    "HPTS_RATE_LIMIT_READS": _Variable(
        "rate_limit_reads", values.whole_number(1, 1_000_000), "GETs a second, likewise"
    ),
    "HPTS_RECONCILE_SECONDS": _Variable(
        "reconcile_seconds",
        values.whole_number(0, 86_400),
        "how often one worker reconciles what is new; 0 for never",
    ),
    "HPTS_RECONCILE_FULL_HOURS": _Variable(
        "reconcile_full_hours", values.whole_number(1, 8_760), "how often it reads everything anew"
    ),
    "HPTS_BANK_PENDING_DAYS": _Variable(
        "bank_pending_days",
        values.whole_number(0, 365),
        "days that bank or ledger may have what the other has not before it is a break",
    ),
    "HPTS_GIT_SHA": _Variable("git_sha", values.git_sha, "commit shown by /v1/health/live"),
    "HPTS_LOG_LEVEL": _Variable("log_level", values.one_of(*LOG_LEVELS), ", ".join(LOG_LEVELS)),
    "HPTS_SERVER_TIMING": _Variable("server_timing", values.switch, "answer Server-Timing headers"),
    "HPTS_METRICS_HOST": _Variable(
        "metrics_host", values.text, "address of /metrics; whoever reaches it may read it"
    ),
    "HPTS_METRICS_PORT": _Variable(
        "metrics_port", values.whole_number(1, 65535), "port of /metrics; none without it"
    ),
    "HPTS_TRACES": _Variable(
        "traces",
        values.one_of(*TRACES),
        "off, or otlp: OpenTelemetry, with hpts[otel] and its OTEL_ variables",
    ),
    "HPTS_DEV_ISSUER_DIR": _Variable(
        "dev_issuer_dir", values.path, "keys of the development issuer; set by `hpts dev`"
    ),
    "HPTS_JWKS_REFRESH_SECONDS": _Variable(
        "jwks_refresh_seconds",
        values.whole_number(1, 3600),
        "how long a key that was withdrawn may count",
    ),
    "HPTS_PARTNER_PORT": _Variable(
        "partner_port",
        values.whole_number(1, 65535),
        "port to listen on with mutual TLS; none without it",
    ),
    "HPTS_PARTNER_WORKERS": _Variable(
        "partner_workers", values.whole_number(1, 128), "server processes of the partners' listener"
    ),
    "HPTS_PARTNER_CERTIFICATE": _Variable(
        "partner_certificate", values.path, "the server's certificate on it, with its chain (PEM)"
    ),
    "HPTS_PARTNER_KEY": _Variable(
        "partner_key", values.path, "that certificate's private key (PEM)"
    ),
    "HPTS_PARTNER_CA": _Variable(
        "partner_ca", values.path, "authorities whose client certificates are accepted on it (PEM)"
    ),
    "HPTS_PARTNER_CRL": _Variable(
        "partner_crl", values.paths, "their revocation lists, a file each, comma-separated (PEM)"
    ),
    "HPTS_PARTNER_CLIENTS": _Variable(
        "partner_clients", values.names, "clients refused without mutual TLS, comma-separated"
    ),
    "HPTS_TRUSTED_PROXIES": _Variable(
        "trusted_proxies",
        values.networks,
        "addresses whose Client-Cert header counts, comma-separated",
    ),
    "HPTS_LISTENER": _Variable(
        "listener", values.one_of(*LISTENERS), "which listener a worker is of; set by `hpts serve`"
    ),
}
