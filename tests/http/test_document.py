"""The API document is held against the code: routes, scopes, structs, problems; both ways."""

import enum
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from msgspec import inspect

from hpts.accounting import account_statement, chart, loan_statement, trial_balance
from hpts.domain.limits import (
    AUDIT_TEXT_LENGTH_MAX,
    LOANS_PER_ACCRUAL_MAX,
    METADATA_BYTES_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    PAGE_TOKEN_LENGTH_MAX,
)
from hpts.domain.rejections import FieldError
from hpts.http import (
    accounting,
    audit_events,
    balances,
    bank_accounts,
    bank_statements,
    feed,
    health,
    journal,
    payloads,
    position,
    postings,
    problems,
    reconciliation,
    reconciliation_items,
    webhooks,
)
from hpts.http.document import document_json, list_errors, load_document
from hpts.http.issuer import ALL_SCOPES
from hpts.http.parameters import NAME_SHOWN_MAX
from hpts.http.routes import PREFIX, ROUTES

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
DOCUMENT = load_document()
SCHEMAS = DOCUMENT["components"]["schemas"]
REQUESTS = (
    payloads.PaymentRequest,
    payloads.DisbursementRequest,
    payloads.AccrualBatchRequest,
    payloads.ReversalRequest,
    bank_accounts.BankAccountRequest,
    reconciliation_items.MatchRequest,
    reconciliation_items.MatchUndoRequest,
)
RESPONSES = (
    balances.LoanBalance,
    balances.AccountBalance,
    chart.ChartAccount,
    chart.AccountList,
    trial_balance.TrialBalanceLine,
    trial_balance.TrialBalanceTotal,
    trial_balance.TrialBalance,
    account_statement.AccountStatementLine,
    accounting.AccountEntryPage,
    loan_statement.Loan,
    loan_statement.LoanComponents,
    loan_statement.LoanStatementLine,
    accounting.LoanStatementPage,
    journal.JournalLine,
    journal.JournalEntry,
    journal.JournalEntryPage,
    audit_events.AuditEvent,
    audit_events.AuditEventPage,
    feed.JournalFeedPage,
    webhooks.WebhookEndpoint,
    webhooks.WebhookEndpointList,
    webhooks.WebhookSecret,
    webhooks.WebhookDelivery,
    webhooks.WebhookDeliveryPage,
    webhooks.RedriveResult,
    reconciliation.ReconciliationStatus,
    bank_accounts.BankAccountList,
    bank_statements.ImportedStatement,
    bank_statements.BankStatementImport,
    reconciliation_items.ItemMatch,
    reconciliation_items.ReconciliationItem,
    reconciliation_items.ReconciliationItemPage,
    reconciliation_items.MatchResult,
    health.HealthStatus,
    problems.Problem,
)
PARSED = {"pattern", "format", "minLength", "maxLength", "description"}
"""What a string without a Meta is parsed for; test_payloads.py holds that against the schema."""


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), PREFIX + path, operation)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference taken in."""
    if "$ref" not in schema:
        return schema
    target = DOCUMENT
    for key in schema["$ref"].removeprefix("#/").split("/"):
        target = target[key]
    return resolve(target) | {key: value for key, value in schema.items() if key != "$ref"}


def test_every_operation_has_its_route_and_every_route_its_operation() -> None:
    documented = set()
    for method, path, operation in operations():
        scopes = [scope for each in operation["security"] for scope in each["bearerAuth"]]
        assert len(scopes) <= 1, "a route asks for one scope"
        scope = scopes[0] if scopes else None
        documented.add((method, path, operation["operationId"], scope))
    assert len(ROUTES) == len(set(ROUTES))
    assert {tuple(route) for route in ROUTES} == documented


def test_a_path_has_at_most_one_parameter_as_the_route_table_needs() -> None:
    assert all(route.template.count("{") <= 1 for route in ROUTES)


def test_scopes_are_those_of_the_issuer() -> None:
    flows = DOCUMENT["components"]["securitySchemes"]["bearerAuth"]["flows"]
    assert set(flows["clientCredentials"]["scopes"]) == set(ALL_SCOPES)
    assert set(flows["authorizationCode"]["scopes"]) < set(ALL_SCOPES)
    assert {route.scope for route in ROUTES} - {None} <= set(ALL_SCOPES)


def test_posts_ask_for_an_idempotency_key_of_the_form_that_is_checked() -> None:
    header = DOCUMENT["components"]["parameters"]["IdempotencyKey"]
    assert header["schema"]["pattern"] == f"^{postings.IDEMPOTENCY_KEY.pattern}$"
    for method, _, operation in operations():
        references = [parameter.get("$ref", "") for parameter in operation.get("parameters", ())]
        has_key = "#/components/parameters/IdempotencyKey" in references
        assert has_key == (method == "POST")


def test_every_read_takes_the_position_that_a_posting_answers() -> None:
    """The app reads the header of every GET that needs a token."""
    posts = {"postPayment", "postDisbursement", "postAccrualBatch", "postReversal"}
    for method, _, operation in operations():
        found = {each["name"] for each in map(resolve, operation.get("parameters", ()))}
        is_read = method == "GET" and bool(operation["security"])
        assert ("HPTS-Min-Position" in found) == is_read, operation["operationId"]
        if operation["operationId"] in posts:
            for status in ("200", "201"):
                assert "HPTS-Position" in operation["responses"][status]["headers"]
    for part in (
        DOCUMENT["components"]["parameters"]["MinPosition"],
        DOCUMENT["components"]["headers"]["Position"],
    ):
        assert part["schema"]["pattern"] == f"^{position.FORM.pattern}$"


@pytest.mark.parametrize(
    ("operation_id", "known"),
    [
        ("getLoanBalance", balances.LOAN_PARAMETERS),
        ("getAccountBalance", balances.ACCOUNT_PARAMETERS),
        ("listAccounts", frozenset()),
        ("listAccountEntries", accounting.ACCOUNT_ENTRIES_PARAMETERS),
        ("getLoan", frozenset()),
        ("getLoanStatement", accounting.LOAN_STATEMENT_PARAMETERS),
        ("getTrialBalance", accounting.TRIAL_BALANCE_PARAMETERS),
        ("listLoanJournalEntries", journal.PAGE_PARAMETERS),
        ("listAuditEvents", audit_events.AUDIT_PARAMETERS),
        ("getReconciliationStatus", reconciliation.PARAMETERS),
        ("listReconciliationItems", reconciliation_items.PAGE_PARAMETERS),
        ("postBankStatement", bank_statements.PARAMETERS),
        ("listWebhookDeliveries", webhooks.DELIVERY_PARAMETERS),
        ("listJournalEntries", feed.FEED_PARAMETERS),
        ("getJournalEntry", frozenset()),
        ("getLiveness", frozenset()),
    ],
)
def test_query_parameters_are_those_that_are_read(operation_id: str, known: frozenset[str]) -> None:
    parameters = parameters_of(operation_id)
    assert {name for name, found in parameters.items() if found["in"] == "query"} == known
    assert all(len(name) <= NAME_SHOWN_MAX for name in known)


def parameters_of(operation_id: str) -> dict[str, Any]:
    (found,) = (each for _, _, each in operations() if each["operationId"] == operation_id)
    return {each["name"]: each for each in map(resolve, found.get("parameters", ()))}


def test_pages_have_the_bounds_that_are_kept() -> None:
    parameters = parameters_of("listLoanJournalEntries")
    assert parameters["page_size"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": PAGE_SIZE_MAX,
        "default": PAGE_SIZE_DEFAULT,
    }
    assert parameters["page_token"]["schema"]["maxLength"] == PAGE_TOKEN_LENGTH_MAX


def test_layers_are_those_that_are_read_and_shown() -> None:
    layers = SCHEMAS["EntryLayer"]["enum"]
    assert list(balances.LAYERS) == list(journal.LAYERS.values()) == layers
    assert SCHEMAS["EntryLayer"]["default"] == "SETTLED"
    assert (
        list(journal.DIRECTIONS.values())
        == SCHEMAS["JournalLine"]["properties"]["direction"]["enum"]
    )


def test_metadata_has_the_bound_that_is_kept() -> None:
    assert f"at most {METADATA_BYTES_MAX} bytes" in SCHEMAS["Metadata"]["description"]


def test_audit_actions_are_those_that_are_recorded() -> None:
    assert SCHEMAS["AuditAction"]["enum"] == list(audit_events.ACTIONS)
    parameters = parameters_of("listAuditEvents")
    assert parameters["outcome"]["schema"]["enum"] == list(audit_events.OUTCOMES)
    assert parameters["actor"]["schema"]["maxLength"] == AUDIT_TEXT_LENGTH_MAX


@pytest.mark.parametrize("struct", REQUESTS + RESPONSES, ids=lambda struct: struct.__name__)
def test_a_struct_has_exactly_the_properties_of_its_schema(struct: type[msgspec.Struct]) -> None:
    check_struct(inspect.type_info(struct), SCHEMAS[struct.__name__], struct in REQUESTS)


def check_struct(found: inspect.Type, schema: dict[str, Any], is_request: bool) -> None:
    assert isinstance(found, inspect.StructType)
    fields = {field.encode_name: field for field in found.fields}
    assert fields.keys() == schema["properties"].keys(), found.cls
    required = {name for name, field in fields.items() if not may_be_absent(field)}
    if is_request:
        assert required == set(schema["required"])
        assert found.forbid_unknown_fields
        assert schema["additionalProperties"] is False
    else:  # an answer may always hold what it need not
        assert required >= set(schema["required"])
    for name, field in fields.items():
        check_type(given_type(field.type), resolve(schema["properties"][name]), is_request)


def may_be_absent(field: inspect.Field) -> bool:
    return isinstance(field.type, inspect.UnionType) or not field.required


def given_type(found: inspect.Type) -> inspect.Type:
    """The type of a value that is there."""
    if isinstance(found, inspect.UnionType):
        (given,) = (each for each in found.types if not isinstance(each, inspect.UnsetType))
        return given
    return found


def check_type(found: inspect.Type, schema: dict[str, Any], is_request: bool) -> None:
    match found:
        case inspect.StructType():
            check_struct(found, schema, is_request)
        case inspect.LiteralType():
            assert set(found.values) == set(schema["enum"])
        case inspect.StrType():
            assert schema["type"] == "string"
            if is_request:
                check_string(found, schema)
        case inspect.IntType():
            assert schema["type"] == "integer"
        case inspect.BoolType():
            assert schema["type"] == "boolean"
        case inspect.ListType():
            assert schema["type"] == "array"
            if is_request:
                assert (found.min_length, found.max_length) == (
                    schema["minItems"],
                    schema["maxItems"],
                )
            check_type(found.item_type, resolve(schema["items"]), is_request)
        case inspect.VarTupleType():
            assert schema["type"] == "array"
            check_type(found.item_type, resolve(schema["items"]), is_request)
        case inspect.DictType() | inspect.RawType():
            assert schema["type"] == "object"
        case _:
            pytest.fail(f"{found} is not known here")


def check_string(found: inspect.StrType, schema: dict[str, Any]) -> None:
    if "pattern" in schema or "format" in schema:
        assert schema.keys() <= {"type"} | PARSED
    else:
        assert (found.min_length, found.max_length) == (schema["minLength"], schema["maxLength"])


def test_the_largest_accrual_batch_is_the_documents() -> None:
    assert SCHEMAS["AccrualBatchRequest"]["properties"]["loans"]["maxItems"] == (
        LOANS_PER_ACCRUAL_MAX
    )


def test_the_currency_form_is_the_one_that_is_checked() -> None:
    assert SCHEMAS["CurrencyCode"]["pattern"] == f"^{payloads.CURRENCY.pattern}$"
    assert SCHEMAS["AccountCode"]["pattern"] == f"^{balances.ACCOUNT_CODE.pattern}$"


def test_an_error_has_the_members_of_the_document() -> None:
    items = SCHEMAS["Problem"]["properties"]["errors"]["items"]
    assert set(items["properties"]) == set(items["required"]) == set(FieldError.__struct_fields__)


NEEDS_A_KEY = ("POST", PREFIX + "/webhook-endpoints")


def test_every_status_of_a_problem_is_declared_where_it_may_occur() -> None:
    for method, path, operation in operations():
        declared = set(operation["responses"])
        if operation["security"]:
            needed = {"204" if method == "DELETE" else "200", "400", "401", "403", "429", "503"}
            needed |= {"201", "409", "413", "415", "422"} if method == "POST" else set()
            shown = operation["responses"].get("200", {}).get("content", {})
            needed |= {"406"} if "text/csv" in shown else set()
            # Without HPTS_WEBHOOK_KEY a server has no webhook endpoints to add to.
            is_missing = path.endswith("/latest") or (method, path) == NEEDS_A_KEY
            needed |= {"404"} if "{" in path or is_missing else set()
            assert needed == declared, operation["operationId"]


def test_schemas_are_json_schemas_and_references_lead_somewhere() -> None:
    for name, schema in SCHEMAS.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        resolve({"$ref": f"#/components/schemas/{name}"})
    for reference in references(DOCUMENT):
        resolve({"$ref": reference})


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in references(each)]
    if isinstance(value, list):
        return [found for each in value for found in references(each)]
    return []


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    identifiers = [operation["operationId"] for _, _, operation in operations()]
    assert len(identifiers) == len(set(identifiers))
    names = [tag["name"] for tag in DOCUMENT["tags"]]
    tags = set(names)
    assert len(names) == len(tags)
    for _, path, operation in operations():
        assert set(operation["tags"]) <= tags
        in_path = {name for name, each in parameters_of(operation["operationId"]).items()
                   if each["in"] == "path"}  # fmt: skip
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for response in operation["responses"].values():
            assert resolve(response)["description"]
    try:
        from openapi_spec_validator import validate
    except ImportError:
        return  # the checks above are then all there is
    validate(DOCUMENT)


def test_the_document_is_served_as_it_stands() -> None:
    assert msgspec.json.decode(document_json()) == DOCUMENT
    assert yaml.safe_load(document_json()) == DOCUMENT


@pytest.mark.parametrize("schema_name", [struct.__name__ for struct in REQUESTS])
def test_an_empty_object_lists_every_required_field(schema_name: str) -> None:
    errors = list_errors(schema_name, b"{}")
    assert [(error.field, error.code) for error in errors] == [
        (name, "required") for name in SCHEMAS[schema_name]["required"]
    ]


def test_no_enumeration_of_the_code_is_wider_than_the_documents() -> None:
    shown = {kind for kind in vars(reconciliation).values() if isinstance(kind, enum.EnumMeta)}
    assert shown == set()  # statuses are plain strings, held by the next line
    integrity = SCHEMAS["ReconciliationStatus"]["properties"]["ledger_integrity"]
    assert integrity["properties"]["status"]["enum"] == [reconciliation.OK, reconciliation.DRIFT]
