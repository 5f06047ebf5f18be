"""`hpts reconcile`: totals against lines and loans against the ledger, by hand."""

import argparse
import sys
import uuid
from typing import TextIO

from hpts.commands.arguments import (
    Commands,
    add_command,
    add_tenant_argument,
    calendar_day,
    database_of,
    no_tenant,
)
from hpts.config import Settings
from hpts.store.reconcile import Reconciliation, reconcile
from hpts.store.reconcile_lines import FOR_EVER, KEPT, Drift
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import list_tenants

WAIT_SECONDS_MAX = 300
DRIFTS_SHOWN_MAX = 20


def add_reconcile_command(commands: Commands) -> None:
    command = add_command(
        commands,
        "reconcile",
        _reconcile,
        "Hold totals and loans against the lines.",
        "It goes on from the last time; what `hpts serve` does by itself every "
        "HPTS_RECONCILE_SECONDS. Exit status 1 when anything has drifted; `hpts verify` then names "
        "the rows.",
    )
    add_tenant_argument(command, is_required=False)
    command.add_argument(
        "--as-of",
        type=calendar_day,
        metavar="DATE",
        help="a past day: the result kept for it, or computed as of its end (default: now)",
    )
    command.add_argument(
        "--full", action="store_true", help="read every line anew instead of going on"
    )


def _reconcile(chosen: argparse.Namespace, settings: Settings) -> int:
    database_url = database_of(settings)
    tenants = [tenant for tenant in list_tenants(database_url) if tenant.status == "active"]
    if chosen.tenant is not None:
        tenants = [tenant for tenant in tenants if tenant.tenant_id == chosen.tenant]
        if not tenants:
            raise no_tenant(chosen.tenant)
    if not tenants:
        print("no active tenants, nothing to reconcile")
    is_sound = True
    for tenant in tenants:
        try:
            result = reconcile(
                database_url,
                tenant.tenant_id,
                chosen.as_of,
                is_full=chosen.full,
                wait_seconds=WAIT_SECONDS_MAX,
            )
        except TenantUnknown:
            continue  # suspended since the list was read
        print_reconciliation(tenant.tenant_id, result, sys.stdout)
        is_sound = is_sound and result.is_sound
    return 0 if is_sound else 1


def print_reconciliation(tenant_id: uuid.UUID, result: Reconciliation, out: TextIO) -> None:
    """Everything that was found, for people."""
    read = "everything" if result.is_full else f"{result.entry_count:,} new entries"
    through = f" through block {result.through_block}" if result.through_block else ""
    print(f"tenant {tenant_id}, as of {result.as_of_date}", file=out)
    print(f"  read {read}{through}", file=out)
    count = result.mismatched_account_count
    print(f"  ledger integrity  {_verdict(not count, f'{count} accounts')}", file=out)
    for drift in result.drifts[:DRIFTS_SHOWN_MAX]:
        print(f"    {_describe(drift)}", file=out)
    if len(result.drifts) > DRIFTS_SHOWN_MAX:
        print(f"    and {len(result.drifts) - DRIFTS_SHOWN_MAX} more totals", file=out)
    if result.altered_block is not None:
        print(
            f"    block {result.altered_block} is the first that is not what was posted;"
            " `hpts verify` names its rows",
            file=out,
        )
    print(f"  portfolio rollup  {_verdict(not result.principal_drifted, 'loans')}", file=out)
    for one in result.principal:
        primary = " (primary)" if one.currency == result.primary_currency else ""
        differs = " DIFFERS" if one.is_drifted else ""
        print(
            f"    {one.currency}{primary}: principal {one.by_ledger_minor} by the lines,"
            f" {one.by_loans_minor} by the loans{differs}",
            file=out,
        )
    for loan in result.loan_drifts:
        print(f"    loan {loan.loan_id} {loan.currency}: {loan.message}", file=out)


def _verdict(is_sound: bool, what: str) -> str:
    return "ok" if is_sound else f"DRIFT: {what}"


def _describe(drift: Drift) -> str:
    period = "" if drift.period == FOR_EVER else f" {drift.period}"
    since = (
        f"first block {drift.first_block}"
        if drift.first_block is not None
        else f"no block after {drift.agreed_block} posted there, so what stood was changed"
    )
    return (
        f"{drift.account_code:04d} {drift.currency} {drift.layer} {KEPT[drift.kept]}{period}:"
        f" debits {drift.total_debit_minor} (lines: {drift.lines_debit_minor}),"
        f" credits {drift.total_credit_minor} (lines: {drift.lines_credit_minor}); {since}"
    )
