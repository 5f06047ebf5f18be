"""Page tokens alone: a token counts for the query that it was made for, and nothing else does."""

import uuid
from random import Random
from typing import Any, NamedTuple

from hpts.http.page_tokens import seal, unseal
from tests.fuzz.mutations import arbitrary_bytes, spoil_bytes, spoil_text
from tests.fuzz.target import Target

TENANTS = tuple(uuid.UUID(int=number).bytes for number in (1, 2))
Query = tuple[object, ...]


class Shown(NamedTuple):
    """A token as a client shows it, and the query that it is shown with."""

    token: str
    query: Query


def target(context: dict[str, Any]) -> Target:
    query = (TENANTS[0], "loan", TENANTS[1], None)
    return Target(draw, check, lambda data: Shown(data.decode("latin-1"), query))


def _query(random: Random) -> Query:
    day = random.choice((None, "2024-01-01", "2024-01-02"))
    return (random.choice(TENANTS), random.choice(("loan", "account")), random.choice(TENANTS), day)


def draw(random: Random) -> Shown:
    query = _query(random)
    token = seal(query, random.randbytes(random.choice((16, 16, 16, 0, 1, 40))))
    match random.randrange(6):
        case 0:
            return Shown(token, query)
        case 1:
            return Shown(token, _query(random))
        case 2:
            return Shown(spoil_bytes(random, token.encode()).decode("utf-8", "replace"), query)
        case 3:
            return Shown(arbitrary_bytes(random).decode("utf-8", "replace"), query)
        case 4:
            return Shown(token + random.choice(("=", "==", "A", "\n", " ", ".")), query)
        case _:
            return Shown(spoil_text(random, token), query)


def check(shown: Shown) -> str:
    cursor = unseal(shown.query, shown.token)
    if cursor is None:
        return "refused"
    assert shown.token == seal(shown.query, cursor), "not what was sealed"
    return "unsealed"
