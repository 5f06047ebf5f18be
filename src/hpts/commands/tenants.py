"""`hpts tenant ...`: add, list, suspend and mark tenants."""

import argparse
import datetime

from hpts.commands.arguments import (
    CommandError,
    Commands,
    add_tenant_argument,
    database_of,
    no_tenant,
)
from hpts.config import Settings


def add_tenant_commands(commands: Commands) -> None:
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
        add_tenant_argument(changed)
        changed.set_defaults(run=_tenant_status, status=status)
    for action, is_required, summary in (
        ("require-mtls", True, "Make a tenant a partner: refused unless it comes over mutual TLS."),
        ("waive-mtls", False, "Make a partner an ordinary tenant again."),
    ):
        marked = actions.add_parser(action, help=summary)
        add_tenant_argument(marked)
        marked.set_defaults(run=_tenant_mtls, is_required=is_required)
    policy = actions.add_parser(
        "period-policy",
        help="Say what becomes of a posting that is effective in a closed period.",
        description="refuse: the posting is refused (period_closed), as it is from the start. "
        "move: its entry stands on the first open day and says which day was asked for.",
    )
    add_tenant_argument(policy)
    policy.add_argument("policy", choices=("refuse", "move"))
    policy.set_defaults(run=_tenant_period_policy)


def _tenant_add(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import add_tenant  # noqa: PLC0415

    try:
        print(add_tenant(database_of(settings), chosen.name, requires_mtls=chosen.partner))
    except ValueError as error:
        raise CommandError(str(error)) from error
    return 0


def _tenant_list(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import list_tenants  # noqa: PLC0415

    for tenant in list_tenants(database_of(settings)):
        created = tenant.created_at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kind = "partner" if tenant.requires_mtls else "ordinary"
        print(f"{tenant.tenant_id}  {tenant.status:<9}  {kind:<8}  {created}  {tenant.name}")
    return 0


def _tenant_status(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import set_tenant_status  # noqa: PLC0415

    if not set_tenant_status(database_of(settings), chosen.tenant, chosen.status):
        raise no_tenant(chosen.tenant)
    return 0


def _tenant_mtls(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import set_tenant_mtls  # noqa: PLC0415

    is_required: bool = chosen.is_required
    if not set_tenant_mtls(database_of(settings), chosen.tenant, requires_mtls=is_required):
        raise no_tenant(chosen.tenant)
    return 0


def _tenant_period_policy(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.tenants import set_late_postings  # noqa: PLC0415

    if not set_late_postings(database_of(settings), chosen.tenant, chosen.policy):
        raise no_tenant(chosen.tenant)
    return 0
