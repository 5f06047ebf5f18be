"""The development issuer's endpoints: tokens by client credentials, and the keys that verify
them.
"""

from hpts.http.app import Handler
from hpts.http.issuer import BASIC_CHALLENGE, FORM_BYTES_MAX, DevelopmentIssuer
from hpts.http.messages import JSON, NO_STORE, Request, Response


class DevelopmentEndpoints:
    """Served by `hpts dev` only."""

    def __init__(self, issuer: DevelopmentIssuer, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience

    def handlers(self) -> dict[str, Handler]:
        """Handlers by operation id."""
        return {"postToken": self.post_token, "getKeySet": self.get_key_set}

    async def post_token(self, request: Request) -> Response:
        """POST /oauth2/token (RFC 6749, section 4.4)."""
        form = await request.read_body(FORM_BYTES_MAX)
        sent = [
            (name.encode(), value.encode("latin-1"))
            for name in ("content-type", "authorization")
            if (value := request.headers.get(name)) is not None
        ]
        status, body = self._issuer.client_credentials(form, sent, audience=self._audience)
        headers = [JSON, NO_STORE]
        if status == 401:
            headers.append(("www-authenticate", BASIC_CHALLENGE))
        return Response(status, body, headers)

    async def get_key_set(self, request: Request) -> Response:
        """GET /.well-known/jwks.json (RFC 7517)."""
        return Response(200, self._issuer.jwks, [JSON])
