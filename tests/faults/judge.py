"""Compares what clients were told with what the journal holds, and has the books verified.

It believes the record and the rows, and nothing that the server says about itself.
"""

import hashlib
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from hpts.store.verify import verify_tenant

from .record import Claim, State

SHOWN_MAX = 5
ENTRIES = """
    SELECT entry.idempotency_key, entry.journal_entry_id::text, entry.request_digest, entry.reply, (
        SELECT coalesce(sum(line.amount_minor), 0)::bigint
        FROM journal_lines AS line
        WHERE line.tenant_id = entry.tenant_id
            AND line.journal_entry_id = entry.journal_entry_id AND line.direction = 'D'
    )
    FROM journal_entries AS entry
    WHERE entry.tenant_id = %s
"""


class Row(NamedTuple):
    """An entry as the journal has it; `amount_minor` is the sum of its debits, from the lines."""

    key: str
    entry_id: str
    digest: bytes
    reply: bytes
    amount_minor: int


class Verdict(NamedTuple):
    """What is wrong, by rule; everything empty when nothing is."""

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        return not any(self)

    def __str__(self) -> str:
        parts = [
            f"{name} {len(found)}: {'; '.join(found[:SHOWN_MAX])}"
            for name, found in zip(self._fields, self, strict=True)
            if found
        ]
        return "\n".join(parts) or "sound"

    def joined(self, other: "Verdict") -> "Verdict":
        return Verdict(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def judge(
    database_url: str, tenant_id: str, claims: Sequence[Claim], *, is_final: bool = False
) -> Verdict:
    """`claims` must have been taken before: what is posted meanwhile is not held against anybody.

    `is_final` says that nobody posts any more, so that no key may still be open.
    """
    rows = _read_rows(database_url, tenant_id)
    verified = verify_tenant(database_url, uuid.UUID(tenant_id))
    findings = tuple(f"{finding}" for finding in verified.findings)
    return compare(claims, rows, is_final=is_final)._replace(findings=findings)


def fingerprint(database_url: str, tenant_id: str) -> str:
    """Of everything that a settled record was compared with."""
    rows = sorted(_read_rows(database_url, tenant_id))
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def judge_settled(database_url: str, tenant_id: str, settled: str) -> Verdict:
    """Books that were found right before must have stayed as they were."""
    verified = verify_tenant(database_url, uuid.UUID(tenant_id))
    changed = fingerprint(database_url, tenant_id) != settled
    altered = (f"the journal of {tenant_id} has changed since",) if changed else ()
    return Verdict(altered=altered, findings=tuple(f"{found}" for found in verified.findings))


def compare(claims: Sequence[Claim], rows: Sequence[Row], *, is_final: bool) -> Verdict:
    """The record against the journal, without the books' own invariants."""
    by_key = {row.key: row for row in rows}
    times = Counter(row.key for row in rows)
    known = {claim.key for claim in claims}
    lost, altered, strays = [], [], []
    for claim in claims:
        row = by_key.get(claim.key)
        if claim.state is State.POSTED:
            if row is None:
                lost.append(f"{claim.key} was answered {claim.reply!r}")
            elif difference := _difference(claim, row):
                altered.append(f"{claim.key}: {difference}")
        elif claim.state is State.REFUSED and row is not None:
            strays.append(f"{claim.key} was refused and stands in the journal")
        elif claim.state is State.OPEN and is_final:
            strays.append(f"{claim.key} never got a final answer")
        elif row is not None and row.digest != claim.digest:
            altered.append(f"{claim.key}: {row} is another request than {claim}")
    if is_final:
        strays += [f"{row.key} was sent by nobody" for row in rows if row.key not in known]
    doubled = [f"{key} stands {count} times" for key, count in times.items() if count > 1]
    return Verdict(tuple(lost), tuple(doubled), tuple(altered), tuple(strays))


def _difference(claim: Claim, row: Row) -> str:
    for name in ("entry_id", "digest", "reply", "amount_minor"):
        told, kept = getattr(claim, name), getattr(row, name)
        if told != kept:
            return f"{name} is {kept!r}, not {told!r}"
    return ""


def _read_rows(database_url: str, tenant_id: str) -> list[Row]:
    with psycopg.connect(database_url) as connection:
        connection.execute("SET enable_seqscan = off")
        rows = connection.execute(ENTRIES.encode(), [tenant_id]).fetchall()
    return [Row(*row) for row in rows]
