"""The problem builder: any code, detail and field errors make valid JSON of the document's schema,
under the code's own status and title.
"""

import json
from random import Random
from typing import Any, NamedTuple

import jsonschema

from hpts.domain.rejections import FieldError
from hpts.http.document import load_document
from hpts.http.problems import KINDS, RETRY_LATER, ProblemRaised, render_problem
from tests.fuzz.mutations import STRANGE, arbitrary_bytes, spoil_text
from tests.fuzz.target import Target

BASE_URL = "https://errors.test/"


class Raised(NamedTuple):
    code: str
    detail: str | None
    errors: tuple[FieldError, ...]
    trace_id: str


def target(context: dict[str, Any]) -> Target:
    schema = {"$ref": "#/components/schemas/Problem"}
    schema["components"] = load_document()["components"]
    validator = jsonschema.Draft202012Validator(schema)
    return Target(
        draw,
        lambda raised: check(raised, validator),
        lambda data: Raised("bad_request", data.decode("latin-1"), (), ""),
    )


def draw(random: Random) -> Raised:
    detail = None if random.random() < 0.2 else _text(random)
    count = random.choice((0, 0, 1, 2, 30))
    errors = tuple(FieldError(*(_text(random) for _ in range(3))) for _ in range(count))
    return Raised(random.choice(tuple(KINDS)), detail, errors, "%032x" % random.getrandbits(128))


def _text(random: Random) -> str:
    match random.randrange(4):
        case 0:
            return arbitrary_bytes(random).decode(
                "utf-8", random.choice(("replace", "surrogateescape"))
            )
        case 1:
            return str(random.choice(STRANGE))
        case 2:
            return "".join(
                chr(random.randrange(0x11_0000)) for _ in range(random.choice((1, 8, 60)))
            )
        case _:
            return spoil_text(random, "must be given")


def check(raised: Raised, validator: jsonschema.Draft202012Validator) -> str:
    problem = ProblemRaised(raised.code, raised.detail, errors=raised.errors)
    status, body, headers = render_problem(problem, base_url=BASE_URL, trace_id=raised.trace_id)
    shown = json.loads(body.decode())
    validator.validate(shown)
    kind = KINDS[raised.code]
    assert (status, shown["status"], shown["title"]) == (kind.status, kind.status, kind.title)
    assert (shown["code"], shown["type"]) == (raised.code, BASE_URL + raised.code)
    assert shown["detail"]
    assert len(shown.get("errors", ())) == len(raised.errors)
    assert ("retry-after" in dict(headers)) == (raised.code in RETRY_LATER)
    return "built"
