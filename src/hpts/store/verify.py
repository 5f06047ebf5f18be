"""`hpts verify`: the whole ledger of a tenant, recomputed from its lines and chain.

It believes no other number that is kept, and changes nothing. What it cannot see is a ledger that
was cut off or rewritten in whole, chain included: keep the printed head elsewhere and compare.
"""

import time
import uuid
from collections.abc import Callable
from typing import NamedTuple, TextIO

from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import list_tenants
from hpts.store.verify_blocks import check_chain
from hpts.store.verify_entries import check_entries
from hpts.store.verify_snapshot import Finding, Findings, open_snapshot
from hpts.store.verify_totals import check_loans, check_totals

__all__ = ["CHECKS", "Finding", "Verified", "verify", "verify_tenant"]

CHECKS = {
    "entry_balance": "per currency and layer, the debits of an entry equal its credits",
    "line_sequence": "the lines of an entry run from 1 without a gap, and are at least two",
    "line_entry": "every line belongs to an entry",
    "entry_hash": "an entry and its lines are what was hashed when they were posted",
    "entry_loans": "the loans of an entry of many loans are those that its lines name",
    "entry_block": "every entry stands in exactly one block",
    "block_entries": "a block has all its entries",
    "block_root": "a block's root is the Merkle root of its entries",
    "block_number": "blocks are numbered from 1 without a gap",
    "block_chain": "a block names the hash of the one before",
    "block_hash": "a block's hash is its own",
    "ledger_head": "the head is the last block",
    "account_totals": "the accounts' totals equal their lines",
    "account_month_totals": "the accounts' totals by month equal their lines",
    "account_day_totals": "the accounts' totals by day equal their lines",
    "loans": "what the loans owe equals their lines",
}
"""Every check, in the order in which it is reported."""


class Verified(NamedTuple):
    """What was walked, what is wrong, and where the chain ends ("NUMBER HASH")."""

    tenant_id: uuid.UUID
    counts: dict[str, int]
    findings: list[Finding]
    seconds: float
    head: str


def verify_tenant(
    database_url: str,
    tenant_id: uuid.UUID,
    progress: Callable[[str, int], None] = lambda what, count: None,
) -> Verified:
    """Walk one tenant in one snapshot. `progress` is told what is walked and how many so far.

    Raises TenantUnknown, psycopg.Error. Takes no lock; postings go on meanwhile.
    """
    started = time.monotonic()
    findings = Findings()
    with open_snapshot(database_url, tenant_id) as snapshot:
        counts, tally = check_entries(snapshot, findings, progress)
        counts["loans"] = check_loans(snapshot, findings, progress)
        counts["totals"] = check_totals(snapshot, findings, tally)
        counts["blocks"], head = check_chain(snapshot, findings)
    order = list(CHECKS)
    found = sorted(findings.all(), key=lambda finding: order.index(finding.check))
    seconds = time.monotonic() - started
    return Verified(
        tenant_id, counts, found, seconds, f"{head.block_number} {head.block_hash.hex()}"
    )


def verify(database_url: str, tenant_id: uuid.UUID | None, out: TextIO) -> int:
    """Verify one tenant or all and print what was found; the exit status: 0 sound, 1 findings,
    2 no such tenant. Raises psycopg.Error."""
    wanted = [tenant.tenant_id for tenant in list_tenants(database_url)]
    if tenant_id is not None:
        wanted = [known for known in wanted if known == tenant_id]
        if not wanted:
            print(f"no such tenant: {tenant_id}; `hpts tenant list` shows them", file=out)
            return 2
    if not wanted:
        print("no tenants, nothing to verify", file=out)
    is_sound = True
    for each in wanted:
        try:
            verified = verify_tenant(database_url, each, _progress_on(out))
        except TenantUnknown:
            continue  # removed since the list was read
        _print_verified(verified, out)
        is_sound = is_sound and not verified.findings
    return 0 if is_sound else 1


def _progress_on(out: TextIO) -> Callable[[str, int], None]:
    if not out.isatty():
        return lambda what, count: None
    return lambda what, count: print(f"  {count:,} {what} ...", end="\r", file=out, flush=True)


def _print_verified(verified: Verified, out: TextIO) -> None:
    counted = ", ".join(f"{count:,} {what}" for what, count in verified.counts.items())
    speed = verified.counts["entries"] / max(verified.seconds, 1e-6)
    print(f"tenant {verified.tenant_id}", file=out)
    print(f"  {counted} in {verified.seconds:.2f} s ({speed:,.0f} entries/s)", file=out)
    print(f"  head: block {verified.head}", file=out)
    for check, row, message in verified.findings:
        print(f"  FAILED {check} ({CHECKS[check]})", file=out)
        print(f"    {row}: {message}", file=out)
    if not verified.findings:
        print(f"  sound: all {len(CHECKS)} checks passed", file=out)
