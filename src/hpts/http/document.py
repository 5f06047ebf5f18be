"""The OpenAPI document: the single source of what a request must look like.

The fast decoders in payloads.py accept or refuse; when they refuse, this slower pass lists every
failing field by the document's own schemas.
"""

import datetime
import functools
import re
from importlib.resources import files
from typing import Any

import jsonschema
import msgspec
import yaml

from hpts.domain.limits import ERRORS_MAX
from hpts.domain.rejections import FieldError

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@functools.cache
def load_document() -> dict[str, Any]:
    """The document as it is served, aliases resolved."""
    text = files("hpts.http").joinpath("openapi.yaml").read_text(encoding="utf-8")
    document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    if not isinstance(document, dict):
        raise TypeError("openapi.yaml is not a mapping")
    return document


@functools.cache
def document_json() -> bytes:
    """The document as JSON, for GET /v1/openapi.json."""
    return msgspec.json.encode(load_document())


def list_errors(schema_name: str, body: bytes) -> tuple[FieldError, ...]:
    """Every field of a body that fails its schema; where it is not JSON, that one error."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return (FieldError("", "malformed_json", f"The body is not JSON: {reason}"),)
    found = []
    for misfit in _validator(schema_name).iter_errors(value):
        found += _fields_of(misfit)
        if len(found) >= ERRORS_MAX:
            break
    return tuple(found[:ERRORS_MAX])


def _fields_of(misfit: jsonschema.ValidationError) -> list[FieldError]:
    path = _path_of(misfit)
    wanted: Any = misfit.validator_value
    found: Any = misfit.instance
    if misfit.validator == "required":
        return [
            FieldError(f"{path}.{name}".lstrip("."), "required", "must be given")
            for name in wanted
            if name not in found and f"'{name}'" in misfit.message
        ]
    if misfit.validator == "additionalProperties":
        schema: Any = misfit.schema
        return [
            FieldError(f"{path}.{name}".lstrip(".")[:200], "unknown_field", "is not a field here")
            for name in found
            if name not in schema["properties"]
        ]
    return [FieldError(path, str(misfit.validator), _message(str(misfit.validator), wanted))]


def _path_of(misfit: jsonschema.ValidationError) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in misfit.absolute_path)
    return "".join(steps).removeprefix(".")


def _message(validator: str, wanted: Any) -> str:
    match validator:
        case "type":
            return f"must be a JSON {wanted}"
        case "enum":
            return f"must be one of {', '.join(map(str, wanted))}"
        case "pattern":
            return f"must match {wanted.replace(chr(92) + 'Z', '$')}"
        case "format":
            return f"must be a {wanted}" + (" (YYYY-MM-DD)" if wanted == "date" else "")
        case "minLength" | "maxLength" | "minItems" | "maxItems":
            bound = "at least" if validator.startswith("min") else "at most"
            unit = "items" if validator.endswith("Items") else "characters"
            return f"must have {bound} {wanted} {unit}"
        case _:
            return f"does not fit {validator}"


@functools.cache
def _validator(schema_name: str) -> jsonschema.Draft202012Validator:
    schemas = _anchored(load_document()["components"])
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema_name}", "components": schemas},
        format_checker=_FORMATS,
    )


def _anchored(value: Any) -> Any:
    """The schemas with `$` at a pattern's end made `\\Z`: Python's `$` lets a line end pass."""
    if isinstance(value, dict):
        return {
            key: re.sub(r"\$$", r"\\Z", item)
            if key == "pattern" and isinstance(item, str)
            else _anchored(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_anchored(item) for item in value]
    return value


_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date")
def _is_date(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return DATE.fullmatch(value) is not None
