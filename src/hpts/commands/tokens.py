"""`hpts token`: a token of the development issuer, and who may be handed one by other commands."""

import argparse
import sys

from hpts.commands.arguments import (
    CommandError,
    Commands,
    add_command,
    add_tenant_argument,
    positive,
)
from hpts.config import Settings


def add_token_command(commands: Commands) -> None:
    token = add_command(
        commands,
        "token",
        _token,
        "Print a token of the development issuer.",
        "It is good for `hpts dev` with this HPTS_STATE_DIR. The tokens of a server that runs for "
        "real come from your own issuer (HPTS_ISSUER).",
    )
    add_tenant_argument(token)
    token.add_argument(
        "--scope",
        required=True,
        help='with spaces between, as "hpts:payments:write hpts:balances:read"; one that is not '
        "known is answered with all that are",
    )
    token.add_argument(
        "--expires-in",
        type=positive,
        default=3600,
        metavar="SECONDS",
        help="for how long it is good (default: %(default)s)",
    )
    token.add_argument(
        "--subject",
        default="developer",
        help="who acts; stands on the entries (default: %(default)s)",
    )


def _token(chosen: argparse.Namespace, settings: Settings) -> int:
    token = issue_token(
        settings, str(chosen.tenant), chosen.scope, chosen.subject, chosen.expires_in
    )
    _record(chosen, settings)
    print(token)
    return 0


def _record(chosen: argparse.Namespace, settings: Settings) -> None:
    """In the database, where one is known: the issuer itself needs none."""
    from hpts.development import database_of  # noqa: PLC0415
    from hpts.store.audit import record_issued_token  # noqa: PLC0415

    database_url = database_of(settings)
    if database_url is None:
        return
    details = {
        "tenant_id": str(chosen.tenant),
        "scope": " ".join(chosen.scope.split()),
        "expires_in": chosen.expires_in,
    }
    failure = record_issued_token(database_url, chosen.subject, details)
    if failure is not None:
        print(f"hpts token: not in the audit record: {failure}", file=sys.stderr)


def issue_token(
    settings: Settings, tenant_id: str, scope: str, subject: str, expires_in: int
) -> str:
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
