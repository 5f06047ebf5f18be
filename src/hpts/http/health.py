"""Liveness touches nothing; readiness asks whether the database answers with the schema of this
build.
"""

import time

import msgspec
from msgspec import UNSET, UnsetType

from hpts import __version__
from hpts.http.messages import JSON, Request, Response
from hpts.http.parameters import Parameters
from hpts.http.problems import ProblemRaised
from hpts.ledger import Ledger


class Check(msgspec.Struct, frozen=True):
    status: str
    latency_ms: int


class HealthStatus(msgspec.Struct, frozen=True):
    status: str
    version: str
    git_sha: str | UnsetType = UNSET
    checks: dict[str, Check] | UnsetType = UNSET


class Health:
    """The two health operations of one worker."""

    def __init__(self, ledger: Ledger, *, schema_version: int, git_sha: str | None) -> None:
        self._ledger = ledger
        self._schema_version = schema_version
        self._git_sha: str | UnsetType = git_sha or UNSET

    async def get_liveness(self, request: Request) -> Response:
        """The process answers."""
        Parameters(request).check()
        return _response(HealthStatus("ok", __version__, self._git_sha))

    async def get_readiness(self, request: Request) -> Response:
        """The process can serve: not stopping, database there, schema at this build's version."""
        Parameters(request).check()
        if self._ledger.is_closing:
            raise ProblemRaised("shutting_down")
        started = time.monotonic()
        version, is_read_only = await self._ledger.reads.schema_version()
        check = Check("ok", int((time.monotonic() - started) * 1000))
        if is_read_only:
            raise ProblemRaised(
                "database_unavailable",
                "The database is read-only, as a standby is; promote it, or name the primary too "
                "in HPTS_DATABASE_URL, with target_session_attrs=read-write.",
            )
        if version != self._schema_version:
            raise ProblemRaised(
                "database_unavailable",
                f"The schema is at version {version}, this build needs {self._schema_version}: "
                "run `hpts migrate`.",
            )
        checks = {"database": check}
        if self._ledger.has_standby is not None:  # without it the primary answers: still ready
            checks["standby"] = Check("ok" if self._ledger.has_standby else "fail", 0)
        return _response(HealthStatus("ok", __version__, self._git_sha, checks))


def _response(status: HealthStatus) -> Response:
    return Response(200, msgspec.json.encode(status), [JSON, ("cache-control", "no-store")])
