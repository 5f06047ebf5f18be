"""Which keys of the issuer were accepted when, in the audit record, as nobody's events.

The record itself says what is known already, so that a change is recorded once, whichever of the
workers and servers on the database notice it.
"""

from collections.abc import Mapping

import msgspec
import psycopg

from hpts.domain.audit import Action, AuditEvent
from hpts.domain.limits import ISSUER_KEYS_RECORDED_MAX
from hpts.store.audit import NO_TENANT, operator, record_audit_event
from hpts.store.connecting import connect
from hpts.store.statements import sql
from hpts.store.wire import CONNECT_SECONDS_MAX, LINK, ConnectionLost, StatementFailed, sqlstate_of

LOCK_CLASS = 0x4B455953  # "KEYS"
KID_LENGTH_MAX = 255


def record_issuer_keys(database_url: str, issuer: str, keys: Mapping[str, str | None]) -> int:
    """Record how the issuer's `keys`, key ids by fingerprint, differ from those that the record
    tells of; how many events were left out because there were too many at once.

    Blocks, for some seconds at most. Raises ConnectionLost, StatementFailed.
    """
    found = {subject_of(fingerprint): kid for fingerprint, kid in keys.items()}
    parameters = {"tenant_id": NO_TENANT, "issuer": issuer, "lock_class": LOCK_CLASS}
    try:
        with connect(
            database_url,
            connect_timeout=CONNECT_SECONDS_MAX,
            application_name="hpts issuer keys",
            **LINK,
        ) as connection:
            connection.execute("SET ROLE hpts_app")
            connection.execute("SET lock_timeout = '2s'")
            connection.execute("SET statement_timeout = '10s'")
            connection.execute(sql("set_tenant").encode(), {"tenant_id": str(NO_TENANT)})
            connection.execute(sql("lock_issuer_keys").encode(), parameters)
            rows = connection.execute(sql("read_issuer_keys").encode(), parameters).fetchall()
            known = {subject for (subject,) in rows}
            changes = [(Action.KEY_ACCEPT, each) for each in sorted(found.keys() - known)]
            changes += [(Action.KEY_WITHDRAW, each) for each in sorted(known - found.keys())]
            for action, subject in changes[:ISSUER_KEYS_RECORDED_MAX]:
                event = _event(action, subject, issuer, found.get(subject))
                record_audit_event(connection, NO_TENANT, event)
    except psycopg.Error as error:
        sqlstate = sqlstate_of(error)
        if sqlstate is None:
            raise ConnectionLost(str(error)) from error
        raise StatementFailed("issuer keys", sqlstate, str(error)) from error
    return max(0, len(changes) - ISSUER_KEYS_RECORDED_MAX)


def subject_of(fingerprint: str) -> str:
    """What an event of that key names."""
    return f"issuer key {fingerprint}"


def _event(action: Action, subject: str, issuer: str, kid: str | None) -> AuditEvent:
    actor, origin = operator()
    details = {"issuer": issuer}
    if kid is not None:
        details["kid"] = kid[:KID_LENGTH_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return AuditEvent(
        action=action,
        is_allowed=True,
        actor=actor,
        origin=origin,
        subject=subject,
        details=msgspec.json.encode(details),
    )
