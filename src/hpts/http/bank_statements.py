"""Bank statements: a file as the body, read beside the event loop, imported whole or not at all."""

import asyncio
from hashlib import sha256

import msgspec

from hpts.bank_files.formats import READERS
from hpts.bank_files.reader import read_file
from hpts.domain.bank_statements import StatementInvalid
from hpts.domain.limits import STATEMENT_IMPORTS_AT_ONCE
from hpts.http.administration import Administration, reply_response
from hpts.http.bank_accounts import actor_of
from hpts.http.messages import Request, Response
from hpts.http.parameters import Parameters
from hpts.http.postings import idempotency_key_of
from hpts.http.problems import ProblemRaised
from hpts.store.admin_requests import AdminConnection, AdminReply, AdminRequest
from hpts.store.bank_imports import (
    Imported,
    StatementFile,
    file_of,
    import_files,
    take_over_cash_lines,
)
from hpts.store.bank_session import BankSession, BankSessions

PARAMETERS = frozenset(("format",))
MEDIA_TYPES = ("application/octet-stream", "application/xml", "text/csv", "text/plain")


class ImportedStatement(msgspec.Struct, frozen=True):
    statement_id: str
    bank_account_ref: str
    result: str
    from_date: str
    to_date: str
    opening_minor: str
    closing_minor: str
    line_count: int
    repeated_line_count: int
    gap_minor: str


class BankStatementImport(msgspec.Struct, frozen=True):
    statements: list[ImportedStatement]
    match_count: int


class BankStatementEndpoint:
    """Imports, a few at a time in a worker."""

    def __init__(
        self, administration: Administration, sessions: BankSessions, body_bytes_max: int
    ) -> None:
        self._administration = administration
        self._sessions = sessions
        self._body_bytes_max = body_bytes_max
        self._count = 0

    async def post_bank_statement(self, request: Request) -> Response:
        """Import a file. 201 where something of it is new, else 200."""
        parameters = Parameters(request, PARAMETERS)
        file_format = parameters.choice("format", tuple(READERS))
        parameters.check()
        _check_media_type(request)
        content = await request.read_body(self._body_bytes_max)
        key = idempotency_key_of(request)
        if self._count >= STATEMENT_IMPORTS_AT_ONCE:
            raise ProblemRaised("overloaded")
        self._count += 1
        try:
            return await self._import(request, key, content, file_format)
        except StatementInvalid as error:
            raise ProblemRaised("statement_invalid", errors=error.errors) from error
        finally:
            self._count -= 1

    async def _import(
        self, request: Request, key: bytes, content: bytes, file_format: str | None
    ) -> Response:
        tenant_id, actor = request.client().tenant_id, actor_of(request)
        reading = await asyncio.to_thread(read_file, content, file_format)
        files: list[StatementFile] = [file_of("POST /v1/bank-statements", content, reading)]
        await take_over_cash_lines(self._sessions, tenant_id, files)

        async def change(connection: AdminConnection) -> AdminReply:
            session = BankSession(connection, tenant_id)
            done, match_count = await import_files(session, files, actor)
            found = BankStatementImport([_shown(one) for one in done], match_count)
            is_new = any(one.is_new for one in done)
            return AdminReply(201 if is_new else 200, msgspec.json.encode(found))

        digest = sha256(b"postBankStatement\0" + (file_format or "").encode() + b"\0" + content)
        asked = AdminRequest(tenant_id, key, digest.digest())
        reply = await self._administration.run(asked, change)
        # What was known already is a replay, whatever its key: nothing was changed.
        return reply_response(reply._replace(is_replay=reply.is_replay or reply.status == 200))


def _check_media_type(request: Request) -> None:
    declared = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if declared not in MEDIA_TYPES:
        advice = f"Send Content-Type: {MEDIA_TYPES[0]}, or {', '.join(MEDIA_TYPES[1:])}."
        raise ProblemRaised("unsupported_media_type", advice)


def _shown(one: Imported) -> ImportedStatement:
    return ImportedStatement(
        str(one.statement_id),
        one.bank_account_ref,
        "imported" if one.is_new else "known",
        one.statement.from_date.isoformat(),
        one.statement.to_date.isoformat(),
        str(one.statement.opening_minor),
        str(one.statement.closing_minor),
        one.line_count,
        one.repeated_line_count,
        str(one.gap_minor),
    )
