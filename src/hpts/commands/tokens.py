"""`hpts token`: a token of the development issuer, and who may be handed one by other commands."""

import argparse

from hpts.commands.arguments import (
    CommandError,
    Commands,
    add_command,
    add_tenant_argument,
    positive,
)
from hpts.config import Settings


def add_token_command(commands: Commands) -> None:
    token = add_command(commands, "token", _token, "Print a token of the development issuer.")
    add_tenant_argument(token)
    token.add_argument("--scope", required=True, help='for example "hpts:payments:write"')
    token.add_argument("--expires-in", type=positive, default=3600, metavar="SECONDS")
    token.add_argument("--subject", default="developer", help="who acts; stands on the entries")


def _token(chosen: argparse.Namespace, settings: Settings) -> int:
    print(
        issue_token(settings, str(chosen.tenant), chosen.scope, chosen.subject, chosen.expires_in)
    )
    return 0


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
