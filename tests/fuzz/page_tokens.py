"""Page tokens alone: a token counts for the query that it was made for, and nothing else does."""

import json
import uuid
from random import Random
from typing import Any, NamedTuple

from hpts.http.accounting import LOAN_REACHED, REACHED
from hpts.http.feed import POSITION
from hpts.http.page_tokens import IDENTIFIER, Coded, seal, unseal
from hpts.http.periods import RECORD_NUMBER
from hpts.http.reconciliation_items import PLACES
from hpts.http.webhooks import DELIVERY_PLACE
from tests.fuzz.mutations import arbitrary_bytes, spoil_bytes, spoil_text
from tests.fuzz.target import Target

TENANTS = tuple(uuid.UUID(int=number).bytes for number in (1, 2))
Query = tuple[object, ...]
SHAPES: tuple[Any, ...] = (
    IDENTIFIER, POSITION, RECORD_NUMBER, DELIVERY_PLACE, REACHED, LOAN_REACHED, *PLACES.values()
)  # fmt: skip
FIELDS = (
    0,
    1,
    -1,
    2**31,
    2**63,
    2**64,
    10**40,
    None,
    "B",
    "\0",
    "2024-01-01",
    [],
    str(uuid.UUID(int=1)),
)


class Shown(NamedTuple):
    """A token as a client shows it, the query that it is shown with, and the shape asked for."""

    token: str
    query: Query
    shape: Any = IDENTIFIER


def target(context: dict[str, Any]) -> Target:
    query = (TENANTS[0], "loan", TENANTS[1], None)
    return Target(draw, check, lambda data: Shown(data.decode("latin-1"), query))


def _query(random: Random) -> Query:
    day = random.choice((None, "2024-01-01", "2024-01-02"))
    return (random.choice(TENANTS), random.choice(("loan", "account")), random.choice(TENANTS), day)


def draw(random: Random) -> Shown:
    query = _query(random)
    token = seal(query, random.randbytes(random.choice((16, 16, 16, 0, 1, 40))))
    match random.randrange(8):
        case 0:
            return Shown(token, query)
        case 1:
            return Shown(token, _query(random))
        case 2:
            return Shown(spoil_bytes(random, token.encode()).decode("utf-8", "replace"), query)
        case 3:
            return Shown(arbitrary_bytes(random).decode("utf-8", "replace"), query)
        case 5 | 6:
            return Shown(seal(query, _rubbish(random)), query, random.choice(SHAPES))
        case 4:
            return Shown(token + random.choice(("=", "==", "A", "\n", " ", ".")), query)
        case _:
            return Shown(spoil_text(random, token), query)


def _rubbish(random: Random) -> bytes:
    """A cursor that a forger might seal: bytes, or JSON of a few fields."""
    if random.random() < 0.5:
        return random.randbytes(random.choice((0, 4, 12, 16, 20, random.randrange(300))))
    fields = [random.choice(FIELDS) for _ in range(random.choice((3, 4, 5)))]
    return json.dumps(fields, separators=(",", ":")).encode()


def check(shown: Shown) -> str:
    place = unseal(shown.query, shown.token, shown.shape)
    if place is None:
        return "refused"
    is_one = isinstance(shown.shape, Coded) or not isinstance(place, tuple)
    cursor = shown.shape.write(place) if is_one else shown.shape.write(*place)
    assert shown.token == seal(shown.query, cursor), "not what was sealed"
    return "unsealed"
