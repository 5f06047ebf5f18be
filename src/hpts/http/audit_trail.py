"""Refused privileged actions and denied access on their way into the audit record.

A refusal is noted when its answer is decided and written by a task behind the requests' backs. What
is equal within some seconds becomes one event with a count, and what is too much is only counted,
so that a flood of refusals is neither a flood of writes nor of memory.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from hpts.domain import limits
from hpts.domain.audit import Action, AuditEvent, Origin
from hpts.http.auth import TokenRefused
from hpts.http.messages import Request
from hpts.http.problems import KINDS, ProblemRaised
from hpts.store.audit import NO_TENANT
from hpts.store.pool import PoolBusy
from hpts.store.wire import ConnectionLost, StatementFailed
from hpts.telemetry import logger

PRIVILEGED = {
    "postReversal": Action.REVERSAL_POST,
    "postBankAccount": Action.BANK_ACCOUNT_ADD,
    "postBankStatement": Action.BANK_STATEMENT_IMPORT,
    "postReconciliationMatch": Action.BANK_MATCH_MAKE,
    "undoReconciliationMatch": Action.BANK_MATCH_UNDO,
    "createWebhookEndpoint": Action.WEBHOOK_CREATE,
    "deleteWebhookEndpoint": Action.WEBHOOK_DELETE,
    "rotateWebhookSecret": Action.WEBHOOK_ROTATE_SECRET,
    "redriveWebhookDeliveries": Action.WEBHOOK_REDRIVE,
}
"""By operation id: what is recorded when its rules refuse it (422). Allowed ones record themselves,
in their own transaction (store/audit.py), as do refused closings and reopenings of the books."""
ACCESS_DENIED = frozenset((401, 403))
REFUSED_BY_RULE = 422
OCCURRENCES_MAX = 2**31 - 1


class Writer(Protocol):
    """Writes events (see AuditWriter)."""

    async def record(self, tenant_id: bytes, events: Sequence[AuditEvent], /) -> None: ...
    def close(self) -> None: ...


class _Kind(NamedTuple):
    """What equal refusals have in common."""

    tenant_id: bytes
    action: Action
    actor: str | None
    source: str | None
    subject: str | None
    problem_code: str | None
    details: bytes


class _Noted(msgspec.Struct):
    """How often, and the trace of the first."""

    occurrences: int
    trace_id: str | None


class AuditTrail:
    """The refusals of one worker."""

    def __init__(
        self,
        writer: Writer,
        *,
        fold_seconds: float = limits.AUDIT_FOLD_SECONDS,
    ) -> None:
        self._writer = writer
        self._fold_seconds = fold_seconds
        self._noted: dict[_Kind, _Noted] = {}
        self._kinds_of: Counter[bytes] = Counter()
        self._dropped = 0
        self._writing: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def note_refusal(self, request: Request, raised: ProblemRaised, error: Exception) -> None:
        """Note what a request was refused, unless it is nobody's business but the client's."""
        status = KINDS[raised.code].status
        route = request.route
        if route is None:
            return
        details: dict[str, str] = {}
        if status in ACCESS_DENIED:
            action: Action | None = Action.ACCESS_DENIED
            subject: str | None = f"{request.method} {route.template}"
            if isinstance(error, TokenRefused):
                details["reason"] = error.reason
        elif status == REFUSED_BY_RULE:
            action, subject = PRIVILEGED.get(route.operation_id), raised.subject
        else:
            return
        if action is None:
            return
        principal, origin = request.principal, request.origin
        kind = _Kind(
            NO_TENANT.bytes if principal is None else principal.tenant_id,
            action,
            None if principal is None else principal.actor,
            origin.source,
            subject,
            raised.code,
            msgspec.json.encode(details),
        )
        self._note(kind, _Noted(1, origin.trace_id))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_until_empty())

    async def stop(self) -> None:
        """Write what is noted, at once and once, and close the writer."""
        self._stopping.set()
        try:
            async with asyncio.timeout(limits.AUDIT_STOP_SECONDS_MAX):
                if self._writing is not None:
                    await self._writing
                await self._write()
        except TimeoutError:
            logger.warning("the last refusals are not recorded: the database does not answer")
        lost = sum(noted.occurrences for noted in self._noted.values()) + self._dropped
        if lost:
            logger.warning("%d refusals could not be recorded: no database at the stop", lost)
        self._writer.close()

    def _note(self, kind: _Kind, noted: _Noted) -> None:
        known = self._noted.get(kind)
        if known is not None:
            known.occurrences += noted.occurrences
        elif (
            len(self._noted) < limits.REFUSALS_KEPT_MAX
            and self._kinds_of[kind.tenant_id] < limits.REFUSALS_KEPT_PER_TENANT_MAX
        ):
            self._noted[kind] = noted
            self._kinds_of[kind.tenant_id] += 1
        else:
            self._dropped += noted.occurrences

    async def _write_until_empty(self) -> None:
        while (self._noted or self._dropped) and not self._stopping.is_set():
            try:
                async with asyncio.timeout(self._fold_seconds):
                    await self._stopping.wait()
            except TimeoutError:
                await self._write()

    async def _write(self) -> None:
        """One transaction per tenant and AUDIT_BATCH_MAX events. What cannot be written is kept,
        and what can never be is counted."""
        noted, self._noted = self._noted, {}
        self._kinds_of.clear()
        by_tenant: dict[bytes, list[_Kind]] = {}
        for kind in noted:
            by_tenant.setdefault(kind.tenant_id, []).append(kind)
        is_reached = True
        for tenant_id, kinds in by_tenant.items():
            for first in range(0, len(kinds), limits.AUDIT_BATCH_MAX):
                batch = kinds[first : first + limits.AUDIT_BATCH_MAX]
                events = [_event(kind, noted[kind]) for kind in batch]
                is_reached = is_reached and await self._is_settled(tenant_id, events)
                if not is_reached:
                    for kind in batch:
                        self._note(kind, noted[kind])
        dropped, self._dropped = self._dropped, 0
        if dropped:
            event = _dropped_event(dropped)
            is_reached = is_reached and await self._is_settled(NO_TENANT.bytes, [event])
            if not is_reached:
                self._dropped += dropped

    async def _is_settled(self, tenant_id: bytes, events: Sequence[AuditEvent]) -> bool:
        """Whether nothing is left to do about the events; else the database is away or busy."""
        try:
            await self._writer.record(tenant_id, events)
        except (ConnectionLost, PoolBusy, StatementFailed) as error:
            if isinstance(error, StatementFailed) and not error.is_passing:
                # Trying again would fail again, for ever. That they were is still to be recorded.
                self._dropped += sum(event.occurrences for event in events)
                logger.error("refusals cannot be recorded, only counted: %s", error)
                return True
            logger.warning("refusals are not recorded yet: %s", error)
            return False
        return True


def _event(kind: _Kind, noted: _Noted) -> AuditEvent:
    return AuditEvent(
        action=kind.action,
        is_allowed=False,
        actor=kind.actor,
        origin=Origin(kind.source, noted.trace_id),
        subject=kind.subject,
        problem_code=kind.problem_code,
        occurrences=min(noted.occurrences, OCCURRENCES_MAX),
        details=kind.details,
    )


def _dropped_event(count: int) -> AuditEvent:
    """Refusals of which it is known only that there were so many more."""
    return AuditEvent(
        action=Action.DENIALS_DROPPED, is_allowed=False, occurrences=min(count, OCCURRENCES_MAX)
    )
