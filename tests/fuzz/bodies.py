"""The decoder of request bodies alone: a command with its fingerprint, or every failing field."""

from random import Random
from typing import Any, NamedTuple

import msgspec

from hpts.http import payloads
from hpts.http.payloads import Kind
from hpts.http.problems import ProblemRaised, render_problem
from tests.fuzz.mutations import arbitrary_bytes, as_members, emit, spoil_bytes, spoil_json
from tests.fuzz.schemas import Schemas, request_schemas
from tests.fuzz.target import Target

KINDS = {found.operation: found for found in vars(payloads).values() if isinstance(found, Kind)}


class Body(NamedTuple):
    operation: str
    data: bytes


def target(context: dict[str, Any]) -> Target:
    bodies = Bodies(context["seed"])
    return Target(bodies.draw, check, lambda data: Body(next(iter(KINDS)), data))


class Bodies:
    """Bodies of every POST operation of the document that has one."""

    def __init__(self, seed: int) -> None:
        self._schemas = Schemas(seed)
        self._roots = request_schemas()
        self.operations = tuple(self._roots)
        if not KINDS.keys() <= self._roots.keys():
            raise ValueError("a decoder is of no operation of the document")

    def draw(self, random: Random) -> Body:
        return self.draw_of(random, random.choice(tuple(KINDS)))

    def draw_of(self, random: Random, operation: str) -> Body:
        """Good for one in five, else spoilt in its structure, in its bytes, or never JSON."""
        kind = random.randrange(20)
        if kind == 0:
            return Body(operation, arbitrary_bytes(random))
        value = as_members(self._schemas.draw(random, self._roots[operation]))
        if kind >= 4:
            value = spoil_json(random, value)
        data = emit(random, value)
        return Body(operation, spoil_bytes(random, data) if kind >= 14 else data)


def check(body: Body) -> str:
    try:
        command, digest = KINDS[body.operation].decode(body.data)
    except ProblemRaised as raised:
        assert raised.code == "bad_request"
        assert raised.errors, "a refusal names what is wrong"
        for error in raised.errors:
            assert {type(part) for part in msgspec.structs.astuple(error)} == {str}
        status, _, _ = render_problem(raised, base_url="https://errors.test/", trace_id="")
        return str(status)
    assert command is not None
    assert len(digest) == 32
    return "decoded"
