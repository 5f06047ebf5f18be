"""The `hpts` command: reads arguments and settings, calls one function, says what went wrong.

Exit status 0 for success, 1 for a failure or a finding, 2 for arguments that cannot be used.
"""

import argparse
import datetime
import socket
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psycopg

from hpts import __version__
from hpts.config import ConfigError, Settings, describe_settings, load_settings
from hpts.embedded import EmbeddedError
from hpts.store.migrate import MigrationError

Command = Callable[[argparse.Namespace, Settings], int]

REACH_SECONDS_MAX = 5


class CommandError(Exception):
    """The command cannot be carried out; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    chosen = _parser().parse_args(arguments)
    run: Command = chosen.run
    try:
        return run(chosen, load_settings())
    except (CommandError, ConfigError, EmbeddedError, MigrationError) as error:
        print(f"hpts {chosen.command}: {error}", file=sys.stderr)
    except psycopg.Error as error:
        print(f"hpts {chosen.command}: the database said: {error}", file=sys.stderr)
    except OSError as error:
        print(f"hpts {chosen.command}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hpts",
        description="An append-only, double-entry, multi-tenant lending ledger behind a REST API.",
        epilog="Start with `hpts dev`. Settings are HPTS_ variables of the environment; "
        "`hpts config` lists them all.",
    )
    parser.add_argument("--version", action="version", version=f"hpts {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, summary: str, more: str = "") -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=f"{summary} {more}".strip())
        command.set_defaults(run=run)
        return command

    add("dev", _dev, "Run everything on this machine.", "PostgreSQL, issuer, demo tenant, server.")
    add("serve", _serve, "Run the server.", "Needs HPTS_DATABASE_URL, HPTS_ISSUER, HPTS_JWKS_URL.")
    add("migrate", _migrate, "Bring the database's schema to this build's version.")
    _add_tenant_commands(commands)
    token = add("token", _token, "Print a token of the development issuer.")
    token.add_argument("--tenant", required=True, type=uuid.UUID, help="the tenant's UUID")
    token.add_argument("--scope", required=True, help='for example "hpts:payments:write"')
    token.add_argument("--expires-in", type=_positive, default=3600, metavar="SECONDS")
    token.add_argument("--subject", default="developer", help="who acts; stands on the entries")
    add("config", _config, "Print the effective settings, secrets masked.")
    add(
        "checkpoint-key",
        _checkpoint_key,
        "Print the public key of checkpoints.",
        "An auditor verifies proofs with it (docs/PROOFS.md).",
    )
    verify = add("verify", _verify, "Check the books.", "Exit status 1 when anything is wrong.")
    verify.add_argument("--tenant", type=uuid.UUID, help="only this tenant")
    verify.add_argument(
        "--since",
        type=Path,
        metavar="FILE",
        help="only what came since the verification that wrote FILE, which is written anew; "
        "where there is no FILE yet, everything",
    )
    demo = add("demo", _demo, "Run a lending portfolio through a running `hpts dev`.")
    demo.add_argument("--loans", type=_positive, default=1000)
    demo.add_argument("--months", type=_positive, default=12)
    demo.add_argument("--seed", type=int, default=1)
    demo.add_argument("--connections", type=_positive, default=32)
    demo.add_argument("--url", help="base URL of the server (default: HPTS_HOST and HPTS_PORT)")
    return parser


def _add_tenant_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    tenant = commands.add_parser("tenant", help="Add, list, suspend and mark tenants.")
    actions = tenant.add_subparsers(dest="action", required=True, metavar="ACTION")
    added = actions.add_parser("add", help="Add a tenant; prints only its UUID.")
    added.add_argument("--name", required=True)
    added.add_argument(
        "--partner", action="store_true", help="its tokens are good over mutual TLS only"
    )
    added.set_defaults(run=_tenant_add)
    actions.add_parser("list", help="List the tenants.").set_defaults(run=_tenant_list)
    for action, status in (("suspend", "suspended"), ("resume", "active")):
        changed = actions.add_parser(action, help=f"Make a tenant {status}.")
        changed.add_argument("--tenant", required=True, type=uuid.UUID, help="the tenant's UUID")
        changed.set_defaults(run=_tenant_status, status=status)
    for action, is_required, summary in (
        ("require-mtls", True, "Make a tenant a partner: refused unless it comes over mutual TLS."),
        ("waive-mtls", False, "Make a partner an ordinary tenant again."),
    ):
        marked = actions.add_parser(action, help=summary)
        marked.add_argument("--tenant", required=True, type=uuid.UUID, help="the tenant's UUID")
        marked.set_defaults(run=_tenant_mtls, is_required=is_required)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError("must be a whole number above zero")
    return int(text)


def _database(settings: Settings) -> str:
    from hpts.development import database_of  # noqa: PLC0415  (starts slowly, not needed by all)

    database_url = database_of(settings)
    if database_url is None:
        raise CommandError(
            "no database: set HPTS_DATABASE_URL, or start `hpts dev` "
            f"with the state directory {settings.state_dir}"
        )
    return database_url


def _dev(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.development import run_development  # noqa: PLC0415

    run_development(settings)
    return 0


def _serve(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.server import check_serving, run_server  # noqa: PLC0415
    from hpts.store.migrate import check_schema  # noqa: PLC0415

    check_serving(settings)
    check_schema(settings.database_url or "")
    run_server(settings)
    return 0


def _migrate(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.migrate import migrate  # noqa: PLC0415

    count = migrate(_database(settings), report=print)
    print("The schema is up to date." if count == 0 else f"Applied {count} migrations.")
    return 0


def _tenant_add(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import add_tenant  # noqa: PLC0415

    try:
        print(add_tenant(_database(settings), chosen.name, requires_mtls=chosen.partner))
    except ValueError as error:
        raise CommandError(str(error)) from error
    return 0


def _tenant_list(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import list_tenants  # noqa: PLC0415

    for tenant in list_tenants(_database(settings)):
        created = tenant.created_at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kind = "partner" if tenant.requires_mtls else "ordinary"
        print(f"{tenant.tenant_id}  {tenant.status:<9}  {kind:<8}  {created}  {tenant.name}")
    return 0


def _tenant_status(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import set_tenant_status  # noqa: PLC0415

    if not set_tenant_status(_database(settings), chosen.tenant, chosen.status):
        raise _no_tenant(chosen.tenant)
    return 0


def _tenant_mtls(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import set_tenant_mtls  # noqa: PLC0415

    is_required: bool = chosen.is_required
    if not set_tenant_mtls(_database(settings), chosen.tenant, requires_mtls=is_required):
        raise _no_tenant(chosen.tenant)
    return 0


def _no_tenant(tenant_id: uuid.UUID) -> CommandError:
    return CommandError(f"there is no tenant {tenant_id}; `hpts tenant list` shows them")


def _token(chosen: argparse.Namespace, settings: Settings) -> int:
    print(_issue(settings, str(chosen.tenant), chosen.scope, chosen.subject, chosen.expires_in))
    return 0


def _issue(settings: Settings, tenant_id: str, scope: str, subject: str, expires_in: int) -> str:
    from hpts.http.issuer import ALL_SCOPES, DevelopmentIssuer  # noqa: PLC0415

    unknown = sorted(set(scope.split()) - set(ALL_SCOPES))
    if unknown or not scope.split():
        raise CommandError(
            f"unknown scope {' '.join(unknown)!r}; known are: {' '.join(ALL_SCOPES)}"
        )
    issuer = DevelopmentIssuer.open(settings.dev_issuer_dir or settings.state_dir / "issuer")
    return issuer.token(
        tenant_id=tenant_id,
        scopes=scope,
        subject=subject,
        audience=settings.audience,
        expires_in=expires_in,
    )


def _config(_: argparse.Namespace, settings: Settings) -> int:
    for name, value, meaning in describe_settings(settings):
        print(f"{name}={value}  # {meaning}")
    return 0


def _checkpoint_key(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.http.issuer import DevelopmentIssuer  # noqa: PLC0415
    from hpts.server import load_checkpoint_key  # noqa: PLC0415

    key = load_checkpoint_key(settings)
    issuer_dir = settings.state_dir / "issuer"
    if key is None and issuer_dir.is_dir():
        path = DevelopmentIssuer.open(issuer_dir).checkpoint_key()
        key = load_checkpoint_key(msgspec.structs.replace(settings, checkpoint_key=path))
    if key is None:
        raise CommandError("no key: set HPTS_CHECKPOINT_KEY, or start `hpts dev` once")
    print(key.public_pem, end="")
    return 0


def _verify(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.verify import verify  # noqa: PLC0415

    try:
        return verify(_database(settings), chosen.tenant, sys.stdout, chosen.since)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _demo(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.demo.run import DemoOptions, run_demo  # noqa: PLC0415
    from hpts.http.issuer import ALL_SCOPES  # noqa: PLC0415
    from hpts.store.tenants import add_tenant  # noqa: PLC0415

    base_url = chosen.url or settings.base_url
    _check_reachable(base_url)
    name = f"demo of {chosen.loans} loans, {chosen.months} months, seed {chosen.seed}"
    tenant_id = str(add_tenant(_database(settings), name))
    return run_demo(
        DemoOptions(
            base_url=base_url,
            token=lambda: _issue(settings, tenant_id, " ".join(ALL_SCOPES), "demo", 3600),
            loans=chosen.loans,
            months=chosen.months,
            seed=chosen.seed,
            connections=chosen.connections,
            today=datetime.datetime.now(datetime.UTC).date(),
        ),
        sys.stdout,
    )


def _check_reachable(base_url: str) -> None:
    """Before a tenant is added in vain; once it runs, the demo waits for a server that restarts."""
    try:
        url = urlsplit(base_url)
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname or "", port), REACH_SECONDS_MAX).close()
    except (OSError, ValueError) as error:
        raise CommandError(f"no server at {base_url} ({error}); start `hpts dev` first") from error


if __name__ == "__main__":
    sys.exit(main())
