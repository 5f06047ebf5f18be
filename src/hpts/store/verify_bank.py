"""Statements, matches and copied cash lines of a tenant's bank accounts, held against each other.

They stand in no chain of hashes: what a person decided has its audit event, cash lines have the
journal, and the rest must add up.
"""

from hpts.store.verify_snapshot import Findings, Snapshot

SUMS = {
    "bank_statements": (
        "find_wrong_bank_statements",
        "balances, counts and account are not those of its lines",
    ),
    "bank_matches": (
        "find_wrong_bank_matches",
        "both sides do not move what it says, on its days",
    ),
    "bank_open_items": (
        "find_wrong_open_items",
        "is not exactly one of repeated, unmatched, and in one match that stands",
    ),
    "audit_bank_matches": (
        "find_unrecorded_matches",
        "was made by hand or undone without an event in audit_events",
    ),
}
CASH_LINES = {
    "bank_cash_lines": ("find_wrong_cash_lines", "is not what the ledger has of it, or is missing"),
}


def check_bank(snapshot: Snapshot, findings: Findings, *, is_full: bool) -> None:
    """Hold all of them; the cash lines against the journal in a full verification only."""
    for check, (statement, message) in {**SUMS, **(CASH_LINES if is_full else {})}.items():
        for (row,) in snapshot.stream(statement):
            findings.note(check, row.decode(), message)
