"""`hpts tenant ...`: add, list, suspend and mark tenants."""

import argparse
import datetime

from hpts.commands.arguments import (
    CommandError,
    Commands,
    add_command,
    add_group,
    add_tenant_argument,
    database_of,
    no_tenant,
)
from hpts.config import Settings


def add_tenant_commands(commands: Commands) -> None:
    actions = add_group(
        commands,
        "tenant",
        "Add, list, suspend and mark tenants.",
        "A tenant is a lender with a ledger of its own. Each change leaves an audit event.",
    )
    added = add_command(
        actions,
        "add",
        _tenant_add,
        "Add a tenant; prints only its UUID.",
        "The UUID is the `tenant_id` that its tokens carry.",
    )
    added.add_argument("--name", required=True, help="what `hpts tenant list` shows")
    added.add_argument(
        "--partner", action="store_true", help="its tokens are good over mutual TLS only"
    )
    add_command(
        actions,
        "list",
        _tenant_list,
        "List the tenants.",
        "A line each: UUID, active or suspended, ordinary or partner, when it was added, name.",
    )
    _add_changes(actions)
    policy = add_command(
        actions,
        "period-policy",
        _tenant_period_policy,
        "Say what becomes of a posting that is effective in a closed period.",
        "It counts from the next batch on.",
    )
    add_tenant_argument(policy)
    policy.add_argument(
        "policy",
        choices=("refuse", "move"),
        help="refuse: it is refused (period_closed), as it is from the start; move: its entry "
        "stands on the first open day and says which day was asked for",
    )


def _add_changes(actions: Commands) -> None:
    for action, status, summary in (
        ("suspend", "suspended", "Refuse all that a tenant asks for, at once; its books stay."),
        ("resume", "active", "Serve a suspended tenant again."),
    ):
        changed = add_command(actions, action, _tenant_status, summary)
        add_tenant_argument(changed)
        changed.set_defaults(status=status)
    for action, is_required, summary in (
        ("require-mtls", True, "Make a tenant a partner: refused unless it comes over mutual TLS."),
        ("waive-mtls", False, "Make a partner an ordinary tenant again."),
    ):
        marked = add_command(actions, action, _tenant_mtls, summary, "It counts within 5 s.")
        add_tenant_argument(marked)
        marked.set_defaults(is_required=is_required)


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
