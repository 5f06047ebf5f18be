"""Settings from the environment: read once, validated all together, refused with every reason.

Nothing else in the package reads HPTS_ variables. A variable that starts with HPTS_ and is not
known stops the start, so that a misspelt setting is never silently a default.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from hpts.domain import limits


class ConfigError(Exception):
    """The environment cannot be used; the message lists every offending variable and why."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The effective settings of one process; the names are those of the HPTS_ variables."""

    database_url: str | None = None
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
    problem_base_url: str = "https://errors.hpts.example.com/"
    max_body_bytes: int = limits.BODY_BYTES_MAX
    queue_limit: int = limits.QUEUE_POSTINGS_MAX
    rate_limit_writes: int | None = None
    rate_limit_reads: int | None = None
    git_sha: str | None = None
    log_level: str = "info"
    server_timing: bool = False
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
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class _Variable(NamedTuple):
    field: str
    parse: Callable[[str], Any]
    meaning: str
    secret: bool = False


INTERFACES = ("rsgi", "asgi")
LISTENERS = ("ordinary", "partner")
LOG_LEVELS = ("debug", "info", "warning", "error")
BUILD_VARIABLES = frozenset(("HPTS_SANITIZE",))


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `environ`. Raises ConfigError that names every bad or unknown variable."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in sorted(environ.items()):
        if not name.startswith("HPTS_") or name in BUILD_VARIABLES:
            continue
        variable = VARIABLES.get(name)
        if variable is None:
            problems.append(f"{name} is not a setting of HPTS; `hpts config` lists them all")
            continue
        try:
            values[variable.field] = variable.parse(text)
        except ValueError as error:
            shown = "***" if variable.secret else text
            problems.append(f"{name}={shown!r}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return Settings(**values)


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


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty; unset it for the default")
    return text


def _path(text: str) -> Path:
    return Path(_text(text))


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError("must be comma-separated, with nothing empty; unset it for none")
    return parts


def _names(text: str) -> tuple[str, ...]:
    return tuple(_parts(text))


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in _parts(text))


def _networks(text: str) -> tuple[str, ...]:
    networks = [ipaddress.ip_network(part) for part in _parts(text)]
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("would trust everybody; name the proxies' own addresses")
    return tuple(str(network) for network in networks)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if urlsplit(text).scheme not in schemes:
            raise ValueError(f"must be a URL that starts with {' or '.join(schemes)}")
        return text

    return parse


def _database_url(text: str) -> str:
    if not re.match(r"(postgresql|postgres)://|.*=", text):
        raise ValueError("must be postgresql://user:password@host:port/name or key=value pairs")
    return text


def _algorithms(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    unknown = [name for name in names if name not in limits.TOKEN_ALGORITHMS]
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)}: only asymmetric algorithms, comma-separated, from "
            + ", ".join(sorted(limits.TOKEN_ALGORITHMS))
        )
    return names


def _problem_base(text: str) -> str:
    return _url("http", "https")(text).rstrip("/") + "/"


def _git_sha(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{7,40}", text):
        raise ValueError("must be 7 to 40 lower-case hexadecimal digits")
    return text


def _one_of(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return text

    return parse


def _switch(text: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise ValueError("must be true or false")
    return text in ("true", "1")


VARIABLES: dict[str, _Variable] = {
    "HPTS_DATABASE_URL": _Variable("database_url", _database_url, "the PostgreSQL database", True),
    "HPTS_HOST": _Variable("host", _text, "address to listen on"),
    "HPTS_PORT": _Variable("port", _whole(1, 65535), "port to listen on"),
    "HPTS_WORKERS": _Variable("workers", _whole(1, 128), "server processes"),
    "HPTS_INTERFACE": _Variable(
        "interface", _one_of(*INTERFACES), "between server and application: rsgi, or asgi"
    ),
    "HPTS_STATE_DIR": _Variable("state_dir", _path, "where `hpts dev` keeps its database and keys"),
    "HPTS_PG_BIN": _Variable("pg_bin", _path, "folder of initdb and postgres for `hpts dev`"),
    "HPTS_ISSUER": _Variable("issuer", _text, "`iss` that tokens must carry"),
    "HPTS_AUDIENCE": _Variable("audience", _text, "`aud` that tokens must carry"),
    "HPTS_JWKS_URL": _Variable(
        "jwks_url", _url("http", "https", "file"), "the issuer's JSON Web Key Set", True
    ),
    "HPTS_JWT_ALGORITHMS": _Variable(
        "jwt_algorithms", _algorithms, "signature algorithms accepted, comma-separated"
    ),
    "HPTS_CHECKPOINT_KEY": _Variable(
        "checkpoint_key", _path, "file with the Ed25519 private key (PEM) that signs checkpoints"
    ),
    "HPTS_PROBLEM_BASE_URL": _Variable(
        "problem_base_url", _problem_base, "what a problem's `type` starts with"
    ),
    "HPTS_MAX_BODY_BYTES": _Variable(
        "max_body_bytes", _whole(1024, limits.BODY_BYTES_MAX), "largest request body"
    ),
    "HPTS_QUEUE_LIMIT": _Variable(
        "queue_limit", _whole(1, 1_000_000), "postings a tenant may have waiting in a worker"
    ),
    "HPTS_RATE_LIMIT_WRITES": _Variable(
        "rate_limit_writes",
        _whole(1, 1_000_000),
        "POSTs a second that a tenant may send to each worker; above it 429",
    ),
    "HPTS_RATE_LIMIT_READS": _Variable(
        "rate_limit_reads", _whole(1, 1_000_000), "GETs a second, likewise"
    ),
    "HPTS_GIT_SHA": _Variable("git_sha", _git_sha, "commit shown by /v1/health/live"),
    "HPTS_LOG_LEVEL": _Variable("log_level", _one_of(*LOG_LEVELS), ", ".join(LOG_LEVELS)),
    "HPTS_SERVER_TIMING": _Variable("server_timing", _switch, "answer Server-Timing headers"),
    "HPTS_DEV_ISSUER_DIR": _Variable(
        "dev_issuer_dir", _path, "keys of the development issuer; set by `hpts dev`"
    ),
    "HPTS_JWKS_REFRESH_SECONDS": _Variable(
        "jwks_refresh_seconds", _whole(1, 3600), "how long a key that was withdrawn may count"
    ),
    "HPTS_PARTNER_PORT": _Variable(
        "partner_port", _whole(1, 65535), "port to listen on with mutual TLS; none without it"
    ),
    "HPTS_PARTNER_WORKERS": _Variable(
        "partner_workers", _whole(1, 128), "server processes of the partners' listener"
    ),
    "HPTS_PARTNER_CERTIFICATE": _Variable(
        "partner_certificate", _path, "the server's certificate on it, with its chain (PEM)"
    ),
    "HPTS_PARTNER_KEY": _Variable("partner_key", _path, "that certificate's private key (PEM)"),
    "HPTS_PARTNER_CA": _Variable(
        "partner_ca", _path, "authorities whose client certificates are accepted on it (PEM)"
    ),
    "HPTS_PARTNER_CRL": _Variable(
        "partner_crl", _paths, "their revocation lists, a file each, comma-separated (PEM)"
    ),
    "HPTS_PARTNER_CLIENTS": _Variable(
        "partner_clients", _names, "clients refused without mutual TLS, comma-separated"
    ),
    "HPTS_TRUSTED_PROXIES": _Variable(
        "trusted_proxies", _networks, "addresses whose Client-Cert header counts, comma-separated"
    ),
    "HPTS_LISTENER": _Variable(
        "listener", _one_of(*LISTENERS), "which listener a worker is of; set by `hpts serve`"
    ),
}
