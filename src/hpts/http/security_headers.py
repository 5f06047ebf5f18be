"""What every answer says to a browser: not to guess its type, not to show it inside another page,
and from where the page of the API document may load anything.

Constant tuples, because they go onto every answer.
"""

Headers = tuple[tuple[str, str], ...]

NO_SNIFFING = ("x-content-type-options", "nosniff")
"""A problem may repeat a field's name; no browser shall take it for a page."""
SAME_ORIGIN = ("cross-origin-resource-policy", "same-origin")
ANSWER: Headers = (
    NO_SNIFFING,
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    SAME_ORIGIN,
)
PAGE: Headers = (
    NO_SNIFFING,
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    SAME_ORIGIN,
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
)
"""The page has no inline script or style, and its script sends its forms, not the browser."""
TLS_ONLY = ("strict-transport-security", "max-age=63072000")
"""Two years, for this host alone. Only where TLS is known to end here."""


def with_tls(headers: Headers) -> Headers:
    """The same on a listener that speaks TLS itself."""
    return (*headers, TLS_ONLY)
