"""Who must come over mutual TLS: marked tenants and clients, holders of bound tokens (RFC 8705).

Which tenants are marked stands in the database. A worker goes by what it read at most
TENANT_MARK_SECONDS_MAX ago and reads again behind the requests' backs; where it cannot, it refuses.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from hpts.domain import limits
from hpts.http.auth import Principal, TokenRefused
from hpts.http.client_certificate import Arrival

USE_THE_PROXY = (
    "Connect to the partners' TLS proxy, which tells the server which certificate was shown."
)


def check_binding(principal: Principal, arrival: Arrival) -> None:
    """Raises TokenRefused where the token is bound and the request did not come with its
    certificate."""
    if principal.thumbprint is None or principal.thumbprint == arrival.thumbprint:
        return
    if arrival.thumbprint is not None:
        raise TokenRefused(
            "the token is bound to another certificate",
            "Connect with the certificate that the token was issued to.",
        )
    if arrival.is_mutual:
        raise TokenRefused(
            "the token is bound to a certificate, and this listener does not know which one "
            "the client has; use the TLS proxy",
            USE_THE_PROXY,
        )
    raise TokenRefused(
        "the token is bound to a certificate, and the request came without one", USE_THE_PROXY
    )


class TenantMarks:
    """Which tenants must come over mutual TLS. `read` asks the database: whether the tenant is
    marked, None for one that does not exist. `clock` gives monotonic seconds."""

    def __init__(
        self,
        read: Callable[[bytes], Awaitable[bool | None]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[bool]] = {}

    def find(self, tenant_id: bytes) -> bool | None:
        """Whether the tenant is marked; None says that it must be asked for."""
        known = self._known.get(tenant_id)
        if known is None:
            return None
        asked_at, is_marked = known
        age = self._clock() - asked_at
        if age >= limits.TENANT_MARK_REFRESH_SECONDS:
            if age >= limits.TENANT_MARK_SECONDS_MAX:
                return None
            self._ask(tenant_id)
        return is_marked

    async def ask(self, tenant_id: bytes) -> bool:
        """Whether the tenant is marked, from the database; who asks meanwhile shares the answer.
        Raises what `read` raises."""
        # Shielded: one client that hangs up must not end the query that others wait for.
        return await asyncio.shield(self._ask(tenant_id))

    def _ask(self, tenant_id: bytes) -> asyncio.Task[bool]:
        task = self._under_way.get(tenant_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask_database(tenant_id))
            self._under_way[tenant_id] = task
            task.add_done_callback(lambda ended: self._end(tenant_id, ended))
        return task

    async def _ask_database(self, tenant_id: bytes) -> bool:
        asked_at = self._clock()
        is_marked = await self._read(tenant_id)
        if is_marked is None:
            return False  # nothing to remember: the query behind the request refuses it
        self._known[tenant_id] = (asked_at, is_marked)
        self._known.move_to_end(tenant_id)
        if len(self._known) > limits.TENANT_MARKS_MAX:
            self._known.popitem(last=False)
        return is_marked

    def _end(self, tenant_id: bytes, ended: asyncio.Task[bool]) -> None:
        del self._under_way[tenant_id]
        if not ended.cancelled():
            ended.exception()  # whoever waits has it; behind the requests' backs it is nobody's
