"""`hpts verify` and `hpts checkpoint-key`: what auditors and their scripts call."""

import argparse
import sys
from pathlib import Path

import msgspec

from hpts.commands.arguments import (
    CommandError,
    Commands,
    add_command,
    add_tenant_argument,
    database_of,
)
from hpts.config import Settings


def add_books_commands(commands: Commands) -> None:
    add_command(
        commands,
        "checkpoint-key",
        _checkpoint_key,
        "Print the public key of signed checkpoints.",
        "An auditor verifies proofs with it (docs/PROOFS.md).",
    )
    verify = add_command(
        commands,
        "verify",
        _verify,
        "Check the books.",
        "It walks every entry, line, loan, total and block, and names the first offending row of "
        "each check; keep the head that it prints outside of the database. Exit status 1 when "
        "anything is wrong.",
    )
    add_tenant_argument(verify, is_required=False)
    verify.add_argument(
        "--since",
        type=Path,
        metavar="FILE",
        help="only what came since the verification that wrote FILE, which is written anew; "
        "where there is no FILE yet, everything",
    )


def _checkpoint_key(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.application import load_checkpoint_key  # noqa: PLC0415
    from hpts.http.issuer import DevelopmentIssuer  # noqa: PLC0415

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
        return verify(database_of(settings), chosen.tenant, sys.stdout, chosen.since)
    except ValueError as error:
        raise CommandError(str(error)) from error
