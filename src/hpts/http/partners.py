"""Who must come over mutual TLS: marked tenants and clients, holders of bound tokens (RFC 8705).

Which tenants are marked stands in the database. A worker goes by what it read at most
RECENT_SECONDS_MAX ago and reads again behind the requests' backs; where it cannot, it refuses.
"""

from hpts.http.auth import Principal, TokenRefused
from hpts.http.client_certificate import Arrival
from hpts.store.recent import Recent

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


class TenantMarks(Recent[bool]):
    """Which tenants must come over mutual TLS. `read` asks the database: whether the tenant is
    marked, None for one that does not exist: the query behind the request refuses it."""
