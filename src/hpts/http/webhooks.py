"""Webhook endpoints: created, listed, deleted; secrets rotated; deliveries looked at and redriven.

A secret is shown once, in the answer to the request that made it (and its replays, which are kept
sealed). What delivers is `hpts relay`.
"""

import ipaddress
import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain import limits
from hpts.domain.entries import format_timestamp
from hpts.domain.rejections import Refusal, Rejection, refuse
from hpts.domain.webhooks import Network, format_secret, is_allowed, is_private_allowed
from hpts.http.administration import Administration, reply_response
from hpts.http.journal import event_types
from hpts.http.messages import JSON, NO_STORE, Request, Response
from hpts.http.page_tokens import PAGED, Fixed, next_token, read_page
from hpts.http.parameters import Parameters
from hpts.http.payloads import Body, Kind, Misfit, parse_identifier
from hpts.http.problems import ProblemRaised
from hpts.http.webhook_secrets import WebhookKey
from hpts.ledger import Ledger
from hpts.store.admin_requests import AdminConnection, AdminReply, AdminRequests
from hpts.store.webhooks import (
    Changer,
    DeliveryRow,
    EndpointRow,
    create_endpoint,
    delete_endpoint,
    redrive,
    rotate_secret,
)

SECRET_BYTES = 32
DELIVERY_PARAMETERS = PAGED | {"status"}
STATUSES = ("retrying", "held", "parked", "delivered")
AFTER_ALL = (2**63 - 1, 2**31 - 1)
DELIVERY_PLACE: Fixed[tuple[int, int]] = Fixed(">qi", lambda *place: place)
URL_PATTERN = r"^https?://[^\s@#\x00-\x20]+\Z"


class WebhookEndpointRequest(Body, frozen=True):
    url: Annotated[
        str,
        msgspec.Meta(max_length=limits.WEBHOOK_URL_LENGTH_MAX, min_length=10, pattern=URL_PATTERN),
    ]
    event_types: list[str] | UnsetType = UNSET


class RotateSecretRequest(Body, frozen=True):
    # to JSON Schema 24.0 is an integer as well
    previous_secret_hours: (
        Annotated[float, msgspec.Meta(ge=0, le=limits.WEBHOOK_OLD_SECRET_HOURS_MAX)] | UnsetType
    ) = UNSET


class RedriveRequest(Body, frozen=True):
    journal_entry_id: str | UnsetType = UNSET


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    endpoint_id: str
    url: str
    event_types: list[str]
    created_at: str
    created_by: str
    delivered_through_block: int
    delivered_through_at: str


class WebhookEndpointList(msgspec.Struct, frozen=True):
    items: list[WebhookEndpoint]


class WebhookSecret(msgspec.Struct, frozen=True):
    endpoint_id: str
    secret: str


class RedriveResult(msgspec.Struct, frozen=True):
    redriven_count: int


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    journal_entry_id: str
    status: Literal["retrying", "held", "parked", "delivered"]
    attempt_count: int
    first_attempt_at: str | UnsetType
    last_attempt_at: str | UnsetType
    next_attempt_at: str | UnsetType
    response_status: int | UnsetType
    error: str | UnsetType


class WebhookDeliveryPage(msgspec.Struct, frozen=True):
    items: list[WebhookDelivery]
    next_page_token: str | UnsetType


class Creation(NamedTuple):
    url: str
    event_types: list[str]


class WebhookEndpoints:
    """The operations. Without a key to seal secrets with, endpoints are not kept, and that is
    said."""

    def __init__(
        self,
        ledger: Ledger,
        requests: AdminRequests,
        administration: Administration,
        key: WebhookKey | None,
        allowed: Sequence[Network],
    ) -> None:
        self._reads = ledger.webhooks
        self._requests = requests
        self._administration = administration
        self._key = key
        self._allowed = allowed

    def handlers(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        """Each operation by its name in the document."""
        return {
            "listWebhookEndpoints": self.list,
            "createWebhookEndpoint": self.create,
            "getWebhookEndpoint": self.get,
            "deleteWebhookEndpoint": self.delete,
            "rotateWebhookSecret": self.rotate,
            "listWebhookDeliveries": self.list_deliveries,
            "redriveWebhookDeliveries": self.redrive,
        }

    async def create(self, request: Request) -> Response:
        """Create an endpoint; the answer has its secret."""
        key, by = self._key_of(), _changer(request)
        endpoint_id = uuid.uuid4()

        async def change(connection: AdminConnection, command: Creation) -> AdminReply | Refusal:
            if not is_url_allowed(command.url, self._allowed):
                return refuse(Rejection.URL_NOT_ALLOWED, "url", "must be of a public host")
            secret = os.urandom(SECRET_BYTES)
            is_made = await create_endpoint(
                connection,
                by,
                endpoint_id=endpoint_id,
                url=command.url,
                event_types=command.event_types,
                sealed_secret=key.seal(by.tenant_id, secret),
            )
            if not is_made:
                return Refusal(Rejection.TOO_MANY_WEBHOOK_ENDPOINTS)
            return _sealed(key, by, endpoint_id, secret, f"/v1/webhook-endpoints/{endpoint_id}")

        reply = await self._administration.post(request, CREATE, change)
        return _opened(key, by, reply)

    async def rotate(self, request: Request) -> Response:
        """Give an endpoint a new secret; the one before signs as well for a while."""
        key, by, endpoint_id = self._key_of(), _changer(request), _endpoint_id(request)

        async def change(connection: AdminConnection, hours: int) -> AdminReply | Refusal:
            secret = os.urandom(SECRET_BYTES)
            sealed = key.seal(by.tenant_id, secret)
            if not await rotate_secret(
                connection, by, endpoint_id=endpoint_id, sealed_secret=sealed, hours=hours
            ):
                raise ProblemRaised("not_found")
            return _sealed(key, by, endpoint_id, secret, "")

        reply = await self._administration.post(request, ROTATE, change, subject=endpoint_id.bytes)
        return _opened(key, by, reply)

    async def redrive(self, request: Request) -> Response:
        """Try again now what is parked or waits for its next attempt."""
        by, endpoint_id = _changer(request), _endpoint_id(request)

        async def change(
            connection: AdminConnection, entry_id: uuid.UUID | None
        ) -> AdminReply | Refusal:
            count = await redrive(
                connection, by, endpoint_id=endpoint_id, journal_entry_id=entry_id
            )
            if count is None:
                raise ProblemRaised("not_found")
            return AdminReply(201, msgspec.json.encode(RedriveResult(count)))

        reply = await self._administration.post(request, REDRIVE, change, subject=endpoint_id.bytes)
        return reply_response(reply)

    async def delete(self, request: Request) -> Response:
        """Deliver nothing there any more."""
        by, endpoint_id = _changer(request), _endpoint_id(request)
        async with self._requests.transaction(by.tenant_id) as connection:
            if not await delete_endpoint(connection, by, endpoint_id=endpoint_id):
                raise ProblemRaised("not_found")
        return Response(204, b"", [NO_STORE])

    async def list(self, request: Request) -> Response:
        """All of them; there are few."""
        Parameters(request).check()
        rows = await self._reads.endpoints(request.client().tenant_id)
        return _answer(WebhookEndpointList([_shown(row) for row in rows]))

    async def get(self, request: Request) -> Response:
        """One."""
        endpoint_id = _endpoint_id(request).bytes
        rows = await self._reads.endpoints(request.client().tenant_id, endpoint_id)
        if not rows:
            raise ProblemRaised("not_found")
        return _answer(_shown(rows[0]))

    async def list_deliveries(self, request: Request) -> Response:
        """A page of what did not go through at once, newest place in the chain first."""
        parameters = Parameters(request, DELIVERY_PARAMETERS)
        endpoint_id, _ = parameters.path_identifier("endpoint_id")
        status = parameters.choice("status", STATUSES)
        tenant_id = request.client().tenant_id
        query = ("listWebhookDeliveries", tenant_id, endpoint_id, status)
        asked = read_page(parameters, query, DELIVERY_PLACE)
        parameters.check()
        if not await self._reads.endpoints(tenant_id, endpoint_id):
            raise ProblemRaised("not_found")
        rows = await self._reads.deliveries(
            tenant_id,
            endpoint_id,
            before=asked.place or AFTER_ALL,
            count=asked.size + 1,
            status=status,
        )
        shown = rows[: asked.size]
        token = next_token(query, shown, rows, _cursor)
        return _answer(WebhookDeliveryPage([_delivery(row) for row in shown], token))

    def _key_of(self) -> WebhookKey:
        if self._key is None:
            raise ProblemRaised(
                "not_found", "This server keeps no webhooks: HPTS_WEBHOOK_KEY is not set."
            )
        return self._key


def is_url_allowed(url: str, allowed: Sequence[Network]) -> bool:
    """Whether an endpoint may have this URL: https, or http where the operator allows networks of
    his own; no address that is not public. Names are resolved, and judged, at each connection."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or (parts.scheme != "https" and not allowed):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return not (host == "localhost" or host.endswith(".localhost")) or bool(allowed)
    if parts.scheme == "http":
        return is_private_allowed(address, allowed)
    return is_allowed(address, allowed)


def _changer(request: Request) -> Changer:
    client = request.client()
    return Changer(client.tenant_id, client.actor, request.origin)


def _endpoint_id(request: Request) -> uuid.UUID:
    parameters = Parameters(request)
    endpoint_id, _ = parameters.path_identifier("endpoint_id")
    parameters.check()
    return uuid.UUID(bytes=endpoint_id)


def _sealed(
    key: WebhookKey, by: Changer, endpoint_id: uuid.UUID, secret: bytes, location: str
) -> AdminReply:
    body = msgspec.json.encode(WebhookSecret(str(endpoint_id), format_secret(secret)))
    return AdminReply(201, key.seal(by.tenant_id, body), location)


def _opened(key: WebhookKey, by: Changer, reply: AdminReply) -> Response:
    try:
        body = key.open(by.tenant_id, reply.body)
    except ValueError:  # a replay of what was sealed before HPTS_WEBHOOK_KEY was changed
        raise ProblemRaised("secret_not_readable") from None
    return reply_response(reply._replace(body=body))


def _answer(body: msgspec.Struct) -> Response:
    return Response(200, msgspec.json.encode(body), [JSON, NO_STORE])


def _shown(row: EndpointRow) -> WebhookEndpoint:
    return WebhookEndpoint(
        endpoint_id=row.endpoint_id,
        url=row.url,
        event_types=[*row.event_types],
        created_at=format_timestamp(row.created_at),
        created_by=row.created_by,
        delivered_through_block=row.position.block_number,
        delivered_through_at=format_timestamp(row.moved_at),
    )


def _delivery(row: DeliveryRow) -> WebhookDelivery:
    def shown(at: int | None) -> str | UnsetType:
        return UNSET if at is None else format_timestamp(at)

    return WebhookDelivery(
        journal_entry_id=row.journal_entry_id,
        status=row.status,  # type: ignore[arg-type]
        attempt_count=row.attempt_count,
        first_attempt_at=shown(row.first_attempt_at),
        last_attempt_at=shown(row.last_attempt_at),
        next_attempt_at=shown(row.next_attempt_at),
        response_status=UNSET if row.response_status is None else row.response_status,
        error=row.error or UNSET,
    )


def _cursor(row: DeliveryRow) -> bytes:
    return DELIVERY_PLACE.write(row.block_number, row.place)


def _creation(payload: WebhookEndpointRequest) -> Creation:
    wanted = [] if payload.event_types is UNSET else payload.event_types
    if not set(wanted) <= set(event_types()) or len(set(wanted)) != len(wanted):
        raise Misfit("event_types must be event types, each once")
    return Creation(payload.url, wanted)


def _hours(payload: RotateSecretRequest) -> int:
    given = payload.previous_secret_hours
    if given is UNSET:
        return limits.WEBHOOK_OLD_SECRET_HOURS
    if not given.is_integer():
        raise Misfit("must be a whole number of hours")
    return int(given)


def _entry_id(payload: RedriveRequest) -> uuid.UUID | None:
    given = payload.journal_entry_id
    return None if given is UNSET else uuid.UUID(bytes=parse_identifier(given))


CREATE = Kind("createWebhookEndpoint", WebhookEndpointRequest, _creation)
ROTATE = Kind("rotateWebhookSecret", RotateSecretRequest, _hours)
REDRIVE = Kind("redriveWebhookDeliveries", RedriveRequest, _entry_id)
