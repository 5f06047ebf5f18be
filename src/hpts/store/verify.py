"""`hpts verify`: the whole ledger of a tenant, recomputed from its lines and chain.

It believes no other number that is kept, and changes nothing. What it cannot see is a ledger that
was cut off or rewritten in whole, chain included: keep the printed head elsewhere and compare.
"""

import gc
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from hpts.domain.blocks import GROUP, genesis_hash
from hpts.store.audit import NO_TENANT
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import list_tenants
from hpts.store.verify_audit import NO_AUDIT_HEAD, check_audit_events
from hpts.store.verify_bank import check_bank
from hpts.store.verify_blocks import check_chain
from hpts.store.verify_chart import check_chart
from hpts.store.verify_details import check_details
from hpts.store.verify_entries import Tally, check_entries
from hpts.store.verify_progress import (
    Progress,
    VerifiedTenant,
    load_progress,
    save_progress,
    verified_tenant,
)
from hpts.store.verify_snapshot import Finding, Findings, Snapshot, open_snapshot
from hpts.store.verify_totals import check_loan_sums, check_loans, check_totals

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
    "block_tiles": "the tiles of the tree over the blocks are those of the blocks",
    "ledger_head": "the head is the last block",
    "account_totals": "the accounts' totals equal their lines",
    "account_month_totals": "the accounts' totals by month equal their lines",
    "account_day_totals": "the accounts' totals by day equal their lines",
    "loans": "what the loans owe equals their lines",
    "audit_number": "audit events are numbered from 1 without a gap",
    "audit_chain": "an audit event names the hash of the one before",
    "audit_hash": "an audit event is what was hashed when it was recorded",
    "audit_reversals": "every reversal has its audit event",
    "audit_periods": "every closing and reopening of the books is what its audit event says",
    "closed_periods": "no entry came into a period after it was closed",
    "closed_through": "the books are closed through the day of the last closing or reopening",
    "tenant_marks": "what operators set of a tenant is what its audit events say",
    "accounts": "the chart of accounts is the one that every tenant starts with",
    "bank_statements": "a bank statement's closing balance is its opening balance and its lines",
    "bank_matches": "both sides of a match of bank items move the same amount, the one it names",
    "bank_open_items": "a bank item is unmatched exactly while no match that stands has it",
    "audit_bank_matches": "every match made by hand or undone has its audit event",
    "bank_cash_lines": "a bank account's cash lines are the ledger's, up to its cursor",
    "loan_borrower": "a loan's borrower is the one that its disbursements name",
    "moved_accruals": "an accrual that was moved keeps its own day, as its details say",
}
"""Every check, in the order in which it is reported."""
FULL_ONLY = frozenset(("loan_borrower", "moved_accruals", "bank_cash_lines"))
"""Checks that a verification since an earlier one leaves out."""


class Verified(NamedTuple):
    """What was walked, what is wrong, where the chain ends, and what to go on from next time."""

    tenant_id: uuid.UUID
    counts: dict[str, int]
    findings: list[Finding]
    seconds: float
    head: str
    """ "NUMBER HASH" """
    audit_head: str
    kept: VerifiedTenant


def verify_tenant(
    database_url: str,
    tenant_id: uuid.UUID,
    progress: Callable[[str, int], None] = lambda what, count: None,
    since: VerifiedTenant | None = None,
) -> Verified:
    """Walk one tenant in one snapshot. `progress` is told what is walked and how many so far.

    With `since` it believes what was verified then, walks the entries of later blocks only, and
    holds the loans together rather than each against their lines.
    Raises TenantUnknown, psycopg.Error. Takes no lock; postings go on meanwhile.
    """
    started = time.monotonic()
    findings = Findings()
    known_audit = NO_AUDIT_HEAD if since is None else since.audit_head()
    if since is not None and since.block_number == 0:
        since = None  # there was nothing yet
    tally: Tally = defaultdict(int) if since is None else since.tally()
    known = {0: genesis_hash(tenant_id.bytes)}
    with _collector_at_rest(), open_snapshot(database_url, tenant_id) as snapshot:
        if since is not None:
            known[since.block_number] = bytes.fromhex(since.block_hash)
            # From the beginning of a tile of level 2, so that it can be computed.
            first = (since.block_number - 1) // GROUP * GROUP + 1
            snapshot.begin_at(since.block_number, from_block=first)
        # The loans' lines are added up by PostgreSQL, meanwhile.
        with ThreadPoolExecutor(1) as beside:
            loans = beside.submit(_check_each_loan, snapshot, findings) if since is None else None
            after_block = 0 if since is None else since.block_number
            counts = check_entries(snapshot, findings, progress, tally, after_block=after_block)
            if loans is not None:
                counts["loans"] = loans.result()
        check_loan_sums(snapshot, findings, tally)
        counts["totals"] = check_totals(snapshot, findings, tally)
        counts["blocks"], head = check_chain(snapshot, findings, known)
        check_chart(snapshot, findings)
        audit = check_audit_events(snapshot, findings, known_audit)
        counts["audit events"] = audit.event_number
        check_bank(snapshot, findings, is_full=since is None)
    order = list(CHECKS)
    found = sorted(findings.all(), key=lambda finding: order.index(finding.check))
    return Verified(
        tenant_id,
        counts,
        found,
        time.monotonic() - started,
        f"{head.block_number} {head.block_hash.hex()}",
        f"{audit.event_number} {audit.event_hash.hex()}",
        verified_tenant(head.block_number, head.block_hash, tally, audit),
    )


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Without Python's search for reference cycles: rows make none, and it would look at millions
    of them, for a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_each_loan(snapshot: Snapshot, findings: Findings) -> int:
    check_details(snapshot, findings)
    return check_loans(snapshot, findings)


def verify(
    database_url: str, tenant_id: uuid.UUID | None, out: TextIO, since: Path | None = None
) -> int:
    """Verify one tenant or all and print what was found; the exit status: 0 sound, 1 findings,
    2 no such tenant. With `since`, from where that file says, which is then written anew.

    Raises psycopg.Error, OSError, ValueError for a file of something else.
    """
    wanted = [tenant.tenant_id for tenant in list_tenants(database_url)]
    if tenant_id is not None:
        wanted = [known for known in wanted if known == tenant_id]
        if not wanted:
            print(f"no such tenant: {tenant_id}; `hpts tenant list` shows them", file=out)
            return 2
    if not wanted:
        print("no tenants, nothing to verify", file=out)
    tenants = {} if since is None else dict(load_progress(since).tenants)
    is_sound = True
    for each in wanted:
        earlier = tenants.get(str(each))
        try:
            verified = verify_tenant(database_url, each, _progress_on(out), earlier)
        except TenantUnknown:
            continue  # removed since the list was read
        _print_verified(verified, earlier, out)
        is_sound = is_sound and not verified.findings
        if since is not None and not verified.findings:
            tenants[str(each)] = verified.kept
            save_progress(since, Progress(tenants))
    if tenant_id is None:
        kept = _verify_nobodys_events(database_url, tenants.get(str(NO_TENANT)), out)
        is_sound = is_sound and kept is not None
        if since is not None and kept is not None:
            save_progress(since, Progress(tenants | {str(NO_TENANT): kept}))
    return 0 if is_sound else 1


def _verify_nobodys_events(
    database_url: str, earlier: VerifiedTenant | None, out: TextIO
) -> VerifiedTenant | None:
    """Verify the audit events that belong to no tenant; what to go on from, None with findings."""
    findings = Findings()
    known = NO_AUDIT_HEAD if earlier is None else earlier.audit_head()
    with open_snapshot(database_url, NO_TENANT, is_nobodys=True) as snapshot:
        audit = check_audit_events(snapshot, findings, known)
    if audit.event_number or findings.all():
        print("no tenant", file=out)
        print(f"  head: audit event {audit.event_number} {audit.event_hash.hex()}", file=out)
        _print_findings(findings.all(), out)
    if findings.all():
        return None
    return verified_tenant(0, b"", defaultdict(int), audit)


def _progress_on(out: TextIO) -> Callable[[str, int], None]:
    if not out.isatty():
        return lambda what, count: None
    return lambda what, count: print(f"  {count:,} {what} ...", end="\r", file=out, flush=True)


def _print_verified(verified: Verified, since: VerifiedTenant | None, out: TextIO) -> None:
    counted = ", ".join(f"{count:,} {what}" for what, count in verified.counts.items())
    speed = verified.counts["lines"] / max(verified.seconds, 1e-6)
    print(f"tenant {verified.tenant_id}", file=out)
    if since is not None:
        print(f"  since block {since.block_number}, verified before", file=out)
    print(f"  {counted} in {verified.seconds:.2f} s ({speed:,.0f} lines/s)", file=out)
    print(f"  head: block {verified.head}", file=out)
    print(f"  head: audit event {verified.audit_head}", file=out)
    _print_findings(verified.findings, out)
    if not verified.findings:
        skipped = 0 if since is None else len(FULL_ONLY)
        print(f"  sound: all {len(CHECKS) - skipped} checks passed", file=out)


def _print_findings(findings: list[Finding], out: TextIO) -> None:
    for check, row, message in findings:
        print(f"  FAILED {check} ({CHECKS[check]})", file=out)
        print(f"    {row}: {message}", file=out)
