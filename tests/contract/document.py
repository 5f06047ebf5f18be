"""Checks one HTTP exchange against the served OpenAPI document and against rules.md.

Refuses to know anything about the server beyond those two. Every reply seen by a contract test
goes through `ContractDocument.check`, so an undeclared status or a half-filled problem fails
wherever it shows.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DOCUMENT_URI = "urn:hpts:openapi"
API_PREFIX = "/v1"
JSON_MEDIA_TYPE = "application/json"
CSV_MEDIA_TYPE = "text/csv"
PROBLEM_MEDIA_TYPE = "application/problem+json"
PLACEHOLDER = re.compile(r"\{[^/]+?\}")
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# Version ff and ids of zeros are invalid (W3C Trace Context), so nothing is owed to their sender.
TRACEPARENT = re.compile(
    r"\A(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z"
)

POSTINGS = frozenset(("/payments", "/disbursements", "/accruals/batch", "/reversals"))
# rules.md section 6, the table; not_acceptable is the project's own.
STATUS_OF_CODE = {
    "bad_request": 400,
    "unauthorized": 401,
    "insufficient_scope": 403,
    "tenant_unknown": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "idempotency_in_progress": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_mismatch": 422,
    "bank_account_invalid": 422,
    "statement_invalid": 422,
    "match_refused": 422,
    "amount_not_positive": 422,
    "amount_overflow": 422,
    "unknown_currency": 422,
    "loan_not_found": 422,
    "currency_mismatch": 422,
    "borrower_mismatch": 422,
    "mixed_currencies": 422,
    "duplicate_loan": 422,
    "already_accrued": 422,
    "effective_date_in_future": 422,
    "period_closed": 422,
    "period_not_over": 422,
    "period_not_closed": 422,
    "entry_not_found": 422,
    "already_reversed": 422,
    "not_reversible": 422,
    "negative_balance": 422,
    "metadata_too_large": 422,
    "url_not_allowed": 422,
    "too_many_webhook_endpoints": 422,
    "secret_not_readable": 422,
    "rate_limited": 429,
    "overloaded": 503,
    "database_unavailable": 503,
    "shutting_down": 503,
}
LEAKS = (
    "Traceback",
    'File "',
    "SELECT ",
    "INSERT ",
    "psycopg",
    "asyncpg",
    "pg_catalog",
    "SQLSTATE",
)

formats = FormatChecker(formats=())


@formats.checks("date", raises=ValueError)
def is_date(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)) and bool(
        date.fromisoformat(value)
    )


@formats.checks("date-time", raises=ValueError)
def is_utc_date_time(value: object) -> bool:
    """RFC 3339 in UTC, as the Timestamp schema and rules.md section 2 demand."""
    if not isinstance(value, str):
        return True
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)", value):
        return False
    return instant(value).utcoffset() == timedelta(0)


@formats.checks("uuid", raises=ValueError)
def is_uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(uuid.UUID(value))


@formats.checks("uri")
def is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(r"[a-z][a-z0-9+.\-]*:[!-~]+", value))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def trace_id_of(traceparent: str | None) -> str | None:
    match = TRACEPARENT.match(traceparent or "")
    return match.group(1) if match else None


def parse_strict_json(content: bytes) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(content.decode("utf-8"), parse_constant=refuse)


@dataclass(frozen=True)
class Exchange:
    """One request and its reply, as far as the contract has anything to say about them."""

    method: str
    path: str
    request_headers: httpx.Headers
    status: int
    headers: httpx.Headers
    content: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status} {self.content[:2000]!r}"

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    @property
    def sent_trace_id(self) -> str | None:
        return trace_id_of(self.request_headers.get("traceparent"))


class ContractDocument:
    """The served OpenAPI document, as a judge of replies."""

    # One title per code, over the whole run and every worker.
    titles: dict[str, str] = {}  # noqa: RUF012
    instances: set[str] = set()  # noqa: RUF012

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self.registry: Registry = Registry().with_resource(DOCUMENT_URI, resource)
        self.paths = {
            template: re.compile("[^/]+".join(map(re.escape, PLACEHOLDER.split(template))) + r"\Z")
            for template in document["paths"]
        }

    def path_template(self, path: str) -> str | None:
        if not path.startswith(API_PREFIX + "/"):
            return None
        relative = path[len(API_PREFIX) :]
        for template, pattern in self.paths.items():
            if pattern.match(relative):
                return template
        return None

    def check_response(self, response: httpx.Response) -> None:
        request = response.request
        self.check(
            Exchange(
                method=request.method,
                path=request.url.raw_path.decode("ascii").split("?")[0],
                request_headers=request.headers,
                status=response.status_code,
                headers=response.headers,
                content=response.content,
            )
        )

    def check(self, exchange: Exchange) -> None:
        template = self.path_template(exchange.path)
        if template is None:
            assert exchange.status == 404, f"unknown path: {exchange}"
            self.check_problem(exchange)
            return
        declared = self.document["paths"][template]
        method = exchange.method.lower()
        if method not in declared:
            assert exchange.status == 405, f"undeclared method: {exchange}"
            self.check_problem(exchange)
            known = {name.upper() for name in declared if name in METHODS}
            allowed = {name.strip() for name in exchange.headers["Allow"].split(",")}
            assert known <= allowed, f"Allow names {allowed}: {exchange}"
            return
        self.check_against_schema(["paths", template, method], exchange)
        if exchange.status >= 400:
            self.check_problem(exchange)
        else:
            check_success_headers(template, exchange)
        if exchange.sent_trace_id is not None:
            answered = exchange.headers.get("traceparent")
            assert trace_id_of(answered) == exchange.sent_trace_id, f"{answered}: {exchange}"

    def check_against_schema(self, keys: list[str], exchange: Exchange) -> None:
        responses = self.resolve([*keys, "responses"])
        status = str(exchange.status)
        assert status in responses, f"undeclared status: {exchange}"
        keys = [*keys, "responses", status]
        response = responses[status]
        while "$ref" in response:
            keys = response["$ref"].removeprefix("#/").split("/")
            response = self.resolve(keys)
        if "content" not in response:
            assert exchange.content == b"", f"a body where none is declared: {exchange}"
            return
        media_type = exchange.media_type
        assert media_type in response["content"], f"content type {media_type!r}: {exchange}"
        content = (
            exchange.content.decode("utf-8")
            if media_type == CSV_MEDIA_TYPE
            else parse_strict_json(exchange.content)
        )
        self.validate([*keys, "content", media_type, "schema"], content, exchange)
        for name, declared in response.get("headers", {}).items():
            if name in exchange.headers:
                self.check_header(declared, exchange.headers[name])

    def check_header(self, declared: dict[str, Any], text: str) -> None:
        if "$ref" in declared:
            declared = self.resolve(declared["$ref"].removeprefix("#/").split("/"))
        schema = declared["schema"]
        value = int(text) if schema.get("type") == "integer" else text
        Draft202012Validator(schema).validate(value)

    def resolve(self, keys: list[str]) -> Any:
        value: Any = self.document
        for key in keys:
            value = value[key]
        return value

    def validate(self, keys: list[str], instance: Any, exchange: Exchange) -> None:
        pointer = "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)
        validator = Draft202012Validator(
            {"$ref": f"{DOCUMENT_URI}#/{quote(pointer, safe='/~')}"},
            registry=self.registry,
            format_checker=formats,
        )
        errors = [
            f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)
        ]
        assert not errors, f"{errors}: {exchange}"

    def check_problem(self, exchange: Exchange) -> None:
        """rules.md section 6: every member, the fixed title, no leak."""
        assert exchange.media_type == PROBLEM_MEDIA_TYPE, exchange
        problem = parse_strict_json(exchange.content)
        self.validate(["components", "schemas", "Problem"], problem, exchange)
        members = {"type", "title", "status", "detail", "instance", "trace_id", "code"}
        assert members <= problem.keys(), f"missing {members - problem.keys()}: {exchange}"
        code = problem["code"]
        assert STATUS_OF_CODE.get(code) == exchange.status == problem["status"], exchange
        assert problem["type"].endswith("/" + code), exchange
        title = self.titles.setdefault(code, problem["title"])
        assert problem["title"] == title, f"the title was {title!r}: {exchange}"
        assert problem["title"] and problem["detail"], exchange
        assert not any(leak in problem["detail"] for leak in LEAKS), exchange
        assert problem["instance"].startswith("urn:uuid:"), exchange
        uuid.UUID(problem["instance"].removeprefix("urn:uuid:"))
        assert problem["instance"] not in self.instances, f"an instance seen before: {exchange}"
        self.instances.add(problem["instance"])
        assert problem["trace_id"], exchange
        assert exchange.sent_trace_id in (None, problem["trace_id"]), exchange
        check_problem_headers(code, exchange)


def check_problem_headers(code: str, exchange: Exchange) -> None:
    if code == "unauthorized":
        challenge = exchange.headers["WWW-Authenticate"]
        assert challenge.startswith("Bearer"), exchange
        assert 'error="invalid_token"' in challenge, exchange
    if code == "insufficient_scope":
        assert "insufficient_scope" in exchange.headers["WWW-Authenticate"], exchange
    if exchange.status in (409, 429, 503):
        assert int(exchange.headers["Retry-After"]) >= 0, exchange


def check_success_headers(template: str, exchange: Exchange) -> None:
    headers = exchange.headers
    if not template.startswith("/health/"):
        assert "no-store" in headers.get("Cache-Control", ""), f"may be cached: {exchange}"
    if exchange.method != "POST":
        return
    if template in POSTINGS:
        entry_id = json.loads(exchange.content)["journal_entry_id"]
        location = urlsplit(headers["Location"]).path
        assert location.endswith(f"/journal-entries/{entry_id}"), f"{location}: {exchange}"
    replayed = "true" if exchange.status == 200 else None
    assert headers.get("Idempotent-Replayed") == replayed, exchange
