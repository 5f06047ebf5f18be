"""Values that fit the API document's schemas, drawn from a `random.Random`, for as much of JSON
Schema as the document uses. An operation that is added to the document is fuzzed from then on.
"""

import functools
import uuid
from collections.abc import Callable
from random import Random
from typing import Any

import hypothesis
from hypothesis import strategies as st

from hpts.http.document import load_document
from hpts.http.routes import PREFIX

LOANS = tuple(str(uuid.UUID(int=2**100 + number)) for number in range(8))
"""Few, so that a loan that one request opens is found by others."""
SAMPLES = 40
FAVOURITES = {"^[A-Z]{3}$": "USD"}
"""What a pattern is mostly drawn as: most of what fits it is refused by a rule."""


@functools.cache
def operations() -> dict[str, dict[str, Any]]:
    """The document's operations by id, each with its path and method."""
    found = {}
    for path, item in load_document()["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "operationId" in operation:
                placed = {"path": PREFIX + path, "method": method.upper()}
                found[operation["operationId"]] = operation | placed
    return found


def request_schemas() -> dict[str, Any]:
    """Schema of the JSON body by operation."""
    return {
        name: operation["requestBody"]["content"]["application/json"]["schema"]
        for name, operation in operations().items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = load_document()
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


class Schemas:
    """Draws values of schemas; strings of a pattern are samples made by hypothesis."""

    def __init__(self, seed: int) -> None:
        # Now, for later a run of hypothesis may be going on, in which there must be no other.
        self._samples = {
            pattern: _samples_of(pattern, seed) for pattern in sorted(_patterns(load_document()))
        }

    def draw(self, random: Random, schema: dict[str, Any]) -> Any:
        schema = resolve(schema)
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return self.draw(random, random.choice(schema[choice]))
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return random.choice(schema["enum"])
        wanted = schema.get("type", "object")
        if isinstance(wanted, list):
            wanted = random.choice(wanted)
        draw: dict[str, Callable[[Random, dict[str, Any]], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._integer,
            "boolean": lambda random, _: random.random() < 0.5,
            "null": lambda random, _: None,
        }
        return draw[wanted](random, schema)

    def _object(self, random: Random, schema: dict[str, Any]) -> dict[str, Any]:
        required = schema.get("required", ())
        made = {
            name: self.draw(random, one)
            for name, one in schema.get("properties", {}).items()
            if name in required or random.random() < 0.3
        }
        if schema.get("additionalProperties") is True and random.random() < 0.5:
            made["note"] = random.choice(("x", 7, None, ["\0"], {"é": 1.5}, "x" * 5_000))
        return made

    def _array(self, random: Random, schema: dict[str, Any]) -> list[Any]:
        least = schema.get("minItems", 0)
        count = min(max(least, random.choice((1, 1, 2, 5))), schema.get("maxItems", 5))
        return [self.draw(random, schema.get("items", {"type": "string"})) for _ in range(count)]

    def _integer(self, random: Random, schema: dict[str, Any]) -> int:
        lowest, highest = schema.get("minimum", 0), schema.get("maximum", 2**31)
        return random.choice((lowest, highest, random.randint(lowest, highest)))

    def _string(self, random: Random, schema: dict[str, Any]) -> str:
        form = schema.get("format")
        if form == "uuid":
            return random.choice(LOANS) if random.random() < 0.8 else str(_uuid(random))
        if form == "date":
            month, day = random.randint(1, 12), random.randint(1, 28)
            return f"{random.choice((2023, 2024))}-{month:02}-{day:02}"
        if form == "date-time":
            return f"2024-{random.randint(1, 12):02}-01T12:00:00Z"
        pattern = schema.get("pattern")
        if pattern in FAVOURITES and random.random() < 0.8:
            return FAVOURITES[pattern]
        if pattern is not None:
            return random.choice(self._samples[pattern])
        least = max(schema.get("minLength", 0), 1)
        most = schema.get("maxLength", 20)
        size = random.choice((least, min(most, least + 8), min(most, 600)))
        return "".join(random.choices("abcXYZ 019-_é😀\u2028'\"", k=size))


def _patterns(node: Any) -> set[str]:
    if isinstance(node, dict):
        found = {node["pattern"]} if isinstance(node.get("pattern"), str) else set()
        return found.union(*(_patterns(one) for one in node.values()))
    return set().union(*(_patterns(one) for one in node)) if isinstance(node, list) else set()


def _samples_of(pattern: str, seed: int) -> list[str]:
    found: list[str] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=SAMPLES, database=None, deadline=None)
    @hypothesis.given(st.from_regex(pattern.removesuffix("$") + r"\Z"))
    def gather(text: str) -> None:
        found.append(text)

    gather()
    return found


def _uuid(random: Random) -> uuid.UUID:
    return uuid.UUID(int=random.getrandbits(128))
