"""POST operations that post no entry: header and body in, one administrative change, its reply.

An operation is a `Kind` (how its body is read) and a change, which the store makes in the
transaction that it is given. The first reply is 201 and a replay 200 with the same body, as of
postings.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from hpts.domain.rejections import Refusal
from hpts.http.messages import JSON, NO_STORE, Request, Response
from hpts.http.payloads import Kind
from hpts.http.postings import REPLAYED, check_media_type, idempotency_key_of
from hpts.http.problems import ProblemRaised
from hpts.store.admin_requests import AdminConnection, AdminReply, AdminRequest, AdminRequests

ChangeOf = Callable[[AdminConnection, Any], Awaitable[AdminReply | Refusal]]
"""Carries out a command in the transaction of its request; the reply is kept under the key."""


class Administration:
    """How such operations are answered, each once per idempotency key."""

    def __init__(self, requests: AdminRequests, body_bytes_max: int) -> None:
        self._requests = requests
        self._body_bytes_max = body_bytes_max

    async def post(
        self, request: Request, kind: Kind, change: ChangeOf, *, subject: bytes = b""
    ) -> AdminReply:
        """Read the body as a command and carry it out. `subject` is what the path names, which the
        key's fingerprint must cover. Raises ProblemRaised."""
        check_media_type(request)
        body = await request.read_body(self._body_bytes_max)
        key = idempotency_key_of(request)
        command, digest = kind.decode(body)
        asked = AdminRequest(request.client().tenant_id, key, sha256(digest + subject).digest())
        return await self.run(asked, lambda connection: change(connection, command))

    async def run(
        self,
        asked: AdminRequest,
        change: Callable[[AdminConnection], Awaitable[AdminReply | Refusal]],
    ) -> AdminReply:
        """Carry out a change once. Raises ProblemRaised where it is refused."""
        outcome = await self._requests.run(asked, change)
        if isinstance(outcome, Refusal):
            raise ProblemRaised(outcome.rejection.value, errors=outcome.errors)
        return outcome


def reply_response(reply: AdminReply) -> Response:
    """The response of a reply: what it was the first time, or 200 where it is a replay."""
    headers = [JSON, NO_STORE]
    if reply.location:
        headers.append(("location", reply.location))
    if reply.is_replay:
        return Response(200, reply.body, [*headers, REPLAYED])
    return Response(reply.status, reply.body, headers)
