"""`hpts demo`: a lending portfolio through a running server."""

import argparse
import datetime
import socket
import sys
from urllib.parse import urlsplit

from hpts.commands.arguments import CommandError, Commands, add_command, database_of, positive
from hpts.commands.tokens import issue_token
from hpts.config import Settings

REACH_SECONDS_MAX = 5


def add_demo_command(commands: Commands) -> None:
    demo = add_command(
        commands,
        "demo",
        _demo,
        "Run a lending portfolio through a running `hpts dev`.",
        "In a tenant of its own: loans, daily accruals, payments on time, early, late, partial and "
        "over, returned ones reversed. It keeps books of its own; exit status 1 when the ledger's "
        "differ.",
    )
    demo.add_argument(
        "--loans", type=positive, default=1000, metavar="N", help="how many (default: %(default)s)"
    )
    demo.add_argument(
        "--months",
        type=positive,
        default=12,
        metavar="N",
        help="of business, up to today (default: %(default)s)",
    )
    demo.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="the same seed on the same day is the same portfolio (default: %(default)s)",
    )
    demo.add_argument(
        "--connections",
        type=positive,
        default=32,
        metavar="N",
        help="requests under way at once (default: %(default)s)",
    )
    demo.add_argument("--url", help="base URL of the server (default: HPTS_HOST and HPTS_PORT)")


def _demo(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.demo.run import DemoOptions, run_demo  # noqa: PLC0415
    from hpts.http.issuer import ALL_SCOPES  # noqa: PLC0415
    from hpts.store.tenants import add_tenant  # noqa: PLC0415

    base_url = chosen.url or settings.base_url
    _check_reachable(base_url)
    name = f"demo of {chosen.loans} loans, {chosen.months} months, seed {chosen.seed}"
    tenant_id = str(add_tenant(database_of(settings), name))
    return run_demo(
        DemoOptions(
            base_url=base_url,
            token=lambda: issue_token(settings, tenant_id, " ".join(ALL_SCOPES), "demo", 3600),
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
