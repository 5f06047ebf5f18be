"""What operators set of a tenant (suspended, a partner, late postings), held against the audit
events that tell of it. Tenants from before there were audit events are held from the first on.
"""

from typing import Any

import msgspec

from hpts.domain.audit import Action
from hpts.store.verify_snapshot import Findings, Row, Snapshot

SETTINGS: dict[str, dict[str, Any]] = {
    Action.TENANT_ADD.value: {
        "status": "active",
        "requires_mtls": False,
        "late_postings": "refuse",
    },
    Action.TENANT_SUSPEND.value: {"status": "suspended"},
    Action.TENANT_RESUME.value: {"status": "active"},
    Action.TENANT_REQUIRE_MTLS.value: {"requires_mtls": True},
    Action.TENANT_WAIVE_MTLS.value: {"requires_mtls": False},
    Action.TENANT_PERIOD_POLICY.value: {},
}
"""What an event of each kind sets, beside what its details say."""
MARKS = ("name", "status", "requires_mtls", "late_postings")


class TenantEvents:
    """What the audit events say of the tenant's row."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}

    def add(self, event: Row) -> None:
        """Take an event, a row of walk_audit_events.sql, in order; others are left out."""
        action, outcome, details = (text or b"" for text in (event[7], event[8], event[14]))
        if action.decode() not in SETTINGS or outcome != b"allowed":
            return
        try:
            told = msgspec.json.decode(details, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return  # the event's hash tells
        self._said |= SETTINGS[action.decode()] | told

    def check(self, snapshot: Snapshot, findings: Findings) -> None:
        """Hold the tenant's row against what was taken."""
        for row in snapshot.stream("read_tenant_marks"):
            for mark, value in zip(MARKS, row, strict=True):
                shown = value.decode() if isinstance(value, bytes) else value
                if self._said.get(mark, shown) != shown:
                    message = f"{mark} is {shown!a}; its audit events say {self._said[mark]!a}"
                    findings.note("tenant_marks", f"tenants {snapshot.tenant_id}", message)
