"""`hpts audit list`: who did or tried what, in all tenants and where no tenant is known."""

import argparse
import datetime

import msgspec

from hpts.commands.arguments import (
    Commands,
    add_command,
    add_group,
    add_tenant_argument,
    database_of,
    positive,
)
from hpts.config import Settings

COUNT_DEFAULT = 100


def add_audit_commands(commands: Commands) -> None:
    actions = add_group(
        commands, "audit", "Read the audit record.", "It cannot be written by hand."
    )
    listed = add_command(
        actions,
        "list",
        _audit_list,
        "List privileged actions and refused attempts, newest first.",
        "What belongs to no tenant (tokens that prove none, keys) stands under the nil UUID, "
        "00000000-0000-0000-0000-000000000000.",
    )
    add_tenant_argument(listed, is_required=False)
    listed.add_argument(
        "--since",
        type=_instant,
        metavar="WHEN",
        help="only what was recorded from then on: 2026-06-15 or 2026-06-15T14:03:00Z (UTC where "
        "no offset is given)",
    )
    listed.add_argument(
        "--count",
        type=positive,
        default=COUNT_DEFAULT,
        metavar="N",
        help="at most (default: %(default)s)",
    )
    listed.add_argument("--json", action="store_true", help="a JSON object a line, all of it")


def _audit_list(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.audit_list import list_audit_events  # noqa: PLC0415

    events = list_audit_events(
        database_of(settings), tenant_id=chosen.tenant, since=chosen.since, count=chosen.count
    )
    for event in events:
        if chosen.json:
            print(msgspec.json.encode(event).decode())
            continue
        recorded = event.recorded_at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        times = f" x{event.occurrences}" if event.occurrences > 1 else ""
        print(
            f"{recorded}  {event.tenant_id}  {event.outcome:<7}  {event.action}{times}  "
            f"{event.actor or '-'} from {event.source or '-'}  {event.subject or '-'}"
            + (f"  {event.problem_code}" if event.problem_code else "")
        )
    return 0


def _instant(text: str) -> datetime.datetime:
    try:
        instant = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a date or a time of ISO 8601") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=datetime.UTC)
