"""The audit record: which actions leave one, and what it says. No token or secret stands in it.

An event says who did what to what, from where, and whether it was allowed; when is the database's
business, as is the chain that links each event to the one before.
"""

import enum

import msgspec


class Action(enum.Enum):
    """Every action that leaves a record; the value is what the API and the database show."""

    REVERSAL_POST = "reversal.post"
    TENANT_ADD = "tenant.add"
    TENANT_SUSPEND = "tenant.suspend"
    TENANT_RESUME = "tenant.resume"
    TENANT_REQUIRE_MTLS = "tenant.require_mtls"
    TENANT_WAIVE_MTLS = "tenant.waive_mtls"
    TENANT_PERIOD_POLICY = "tenant.period_policy"
    PERIOD_CLOSE = "period.close"
    PERIOD_REOPEN = "period.reopen"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_DELETE = "webhook.delete"
    WEBHOOK_ROTATE_SECRET = "webhook.rotate_secret"  # noqa: S105
    WEBHOOK_REDRIVE = "webhook.redrive"
    KEY_CREATE = "key.create"
    KEY_USE = "key.use"
    KEY_ACCEPT = "key.accept"
    KEY_WITHDRAW = "key.withdraw"
    TOKEN_ISSUE = "token.issue"  # noqa: S105 - an action's name
    BANK_ACCOUNT_ADD = "bank_account.add"
    BANK_STATEMENT_IMPORT = "bank_statement.import"
    BANK_MATCH_MAKE = "bank_match.make"
    BANK_MATCH_UNDO = "bank_match.undo"
    ACCESS_DENIED = "access.denied"
    DENIALS_DROPPED = "denials.dropped"


class Origin(msgspec.Struct, frozen=True):
    """From where an action comes: the client's address and the trace, as far as they are known."""

    source: str | None = None
    trace_id: str | None = None


UNKNOWN_ORIGIN = Origin()


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `subject` is what the action concerns: an entry, a tenant, a key, a route.
    `details` is a small JSON object. `occurrences` counts equal refusals of which one event tells.
    """

    action: Action
    is_allowed: bool
    actor: str | None = None
    origin: Origin = UNKNOWN_ORIGIN
    subject: str | None = None
    problem_code: str | None = None
    occurrences: int = 1
    details: bytes = b"{}"
