"""Content negotiation for what is offered as JSON or as CSV: the Accept header, RFC 9110 12.5.1.

JSON where the client does not care. What it cannot take is 406, never something else instead.
"""

import re

from hpts.http.messages import Request
from hpts.http.problems import ProblemRaised

JSON_TYPE, CSV_TYPE = "application/json", "text/csv"
OFFERED = (JSON_TYPE, CSV_TYPE)
"""The one we would rather send first."""
RANGE = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(;.*)?")
WEIGHT = re.compile(r";\s*[qQ]\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)")


def wants_csv(request: Request) -> bool:
    """Whether the answer is to be CSV. Raises ProblemRaised where neither form is taken."""
    given = request.header_values("accept")
    chosen = choose(",".join(given)) if given else JSON_TYPE
    if chosen is None:
        raise ProblemRaised("not_acceptable")
    return chosen == CSV_TYPE


def choose(accept: str) -> str | None:
    """The offered type that the client likes best, or None. What is no media range is passed over;
    where nothing is left, anything is taken."""
    ranges = dict(found for part in accept.split(",") if (found := _range_of(part)))
    if not ranges:
        return JSON_TYPE
    weights = {offered: _weight(offered, ranges) for offered in OFFERED}
    best = max(OFFERED, key=lambda offered: weights[offered])
    return best if weights[best] else None


def _range_of(part: str) -> tuple[str, int] | None:
    """(media range, weight in thousandths)."""
    found = RANGE.fullmatch(part)
    if found is None:
        return None
    weight = WEIGHT.search(found[2] or "")
    if weight is None:
        return found[1].lower(), 1000
    whole, _, fraction = weight[1].partition(".")
    return found[1].lower(), int(whole) * 1000 + int(fraction.ljust(3, "0") or 0)


def _weight(offered: str, ranges: dict[str, int]) -> int:
    """By the most specific range that covers it."""
    kind = offered.partition("/")[0]
    for covering in (offered, f"{kind}/*", "*/*"):
        if covering in ranges:
            return ranges[covering]
    return 0
