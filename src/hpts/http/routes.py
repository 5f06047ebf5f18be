"""The route table: every path of the OpenAPI document, literally, with its operation and scope.

A test holds it against the document: no path, method or scope is here that is not there.
"""

from typing import NamedTuple

PREFIX = "/v1"


class Route(NamedTuple):
    """One operation. `scope` is None where the operation is open to everybody."""

    method: str
    template: str
    operation_id: str
    scope: str | None


ROUTES = (
    Route("POST", "/v1/payments", "postPayment", "hpts:payments:write"),
    Route("POST", "/v1/disbursements", "postDisbursement", "hpts:disbursements:write"),
    Route("POST", "/v1/accruals/batch", "postAccrualBatch", "hpts:accruals:write"),
    Route("POST", "/v1/reversals", "postReversal", "hpts:reversals:write"),
    Route("GET", "/v1/loans/{loan_id}/balance", "getLoanBalance", "hpts:balances:read"),
    Route(
        "GET", "/v1/loans/{loan_id}/journal-entries", "listLoanJournalEntries", "hpts:ledger:read"
    ),
    Route("GET", "/v1/accounts/{account_code}/balance", "getAccountBalance", "hpts:balances:read"),
    Route("GET", "/v1/accounts", "listAccounts", "hpts:balances:read"),
    Route("GET", "/v1/accounts/{account_code}/entries", "listAccountEntries", "hpts:ledger:read"),
    Route("GET", "/v1/loans/{loan_id}", "getLoan", "hpts:loans:read"),
    Route("GET", "/v1/loans/{loan_id}/statement", "getLoanStatement", "hpts:ledger:read"),
    Route("GET", "/v1/trial-balance", "getTrialBalance", "hpts:balances:read"),
    Route("GET", "/v1/journal-entries", "listJournalEntries", "hpts:ledger:read"),
    Route("GET", "/v1/accounts/{account_code}/restatement", "getRestatement", "hpts:ledger:read"),
    Route("GET", "/v1/journal-entries/{journal_entry_id}", "getJournalEntry", "hpts:ledger:read"),
    Route(
        "GET",
        "/v1/journal-entries/{journal_entry_id}/proof",
        "getJournalEntryProof",
        "hpts:ledger:read",
    ),
    Route("GET", "/v1/webhook-endpoints", "listWebhookEndpoints", "hpts:admin:*"),
    Route("POST", "/v1/webhook-endpoints", "createWebhookEndpoint", "hpts:admin:*"),
    Route("GET", "/v1/webhook-endpoints/{endpoint_id}", "getWebhookEndpoint", "hpts:admin:*"),
    Route("DELETE", "/v1/webhook-endpoints/{endpoint_id}", "deleteWebhookEndpoint", "hpts:admin:*"),
    Route(
        "POST",
        "/v1/webhook-endpoints/{endpoint_id}/rotate-secret",
        "rotateWebhookSecret",
        "hpts:admin:*",
    ),
    Route(
        "GET",
        "/v1/webhook-endpoints/{endpoint_id}/deliveries",
        "listWebhookDeliveries",
        "hpts:admin:*",
    ),
    Route(
        "POST",
        "/v1/webhook-endpoints/{endpoint_id}/redrive",
        "redriveWebhookDeliveries",
        "hpts:admin:*",
    ),
    Route("GET", "/v1/checkpoints/latest", "getLatestCheckpoint", "hpts:ledger:read"),
    Route("GET", "/v1/checkpoints/{block_number}", "getCheckpoint", "hpts:ledger:read"),
    Route(
        "GET",
        "/v1/checkpoints/{block_number}/consistency",
        "getConsistencyProof",
        "hpts:ledger:read",
    ),
    Route(
        "GET", "/v1/reconciliation/status", "getReconciliationStatus", "hpts:reconciliation:read"
    ),
    Route("POST", "/v1/periods/close", "closePeriod", "hpts:admin:*"),
    Route("POST", "/v1/periods/reopen", "reopenPeriod", "hpts:admin:*"),
    Route("GET", "/v1/periods", "listPeriods", "hpts:ledger:read"),
    Route("GET", "/v1/audit-events", "listAuditEvents", "hpts:admin:*"),
    Route("GET", "/v1/reconciliation/items", "listReconciliationItems", "hpts:reconciliation:read"),
    Route("POST", "/v1/reconciliation/matches", "postReconciliationMatch", "hpts:admin:*"),
    Route(
        "POST",
        "/v1/reconciliation/matches/{match_id}/undo",
        "undoReconciliationMatch",
        "hpts:admin:*",
    ),
    Route("POST", "/v1/bank-accounts", "postBankAccount", "hpts:admin:*"),
    Route("GET", "/v1/bank-accounts", "listBankAccounts", "hpts:reconciliation:read"),
    Route("POST", "/v1/bank-statements", "postBankStatement", "hpts:admin:*"),
    Route("GET", "/v1/health/live", "getLiveness", None),
    Route("GET", "/v1/health/ready", "getReadiness", None),
)
UNDOCUMENTED_ROUTES = (
    Route("GET", "/v1/openapi.json", "getDocument", None),
    Route("GET", "/docs", "getDocsPage", None),
    Route("GET", "/docs/{asset}", "getDocsAsset", None),
)
DEVELOPMENT_ROUTES = (
    Route("POST", "/oauth2/token", "postToken", None),
    Route("GET", "/.well-known/jwks.json", "getKeySet", None),
)


class RouteTable:
    """Finds the route of a path: an exact one, else one with a single parameter."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._by_shape: dict[tuple[str, str], dict[str, Route]] = {}
        for route in routes:
            if "{" in route.template:
                prefix, _, rest = route.template.partition("{")
                shape = (prefix, rest.partition("}")[2])
                self._by_shape.setdefault(shape, {})[route.method] = route
            else:
                self._exact.setdefault(route.template, {})[route.method] = route

    def find(self, path: str) -> tuple[dict[str, Route], tuple[str, ...]] | None:
        """(routes by method, path parameters), or None for an unknown path."""
        methods = self._exact.get(path)
        if methods is not None:
            return methods, ()
        for (prefix, suffix), candidates in self._by_shape.items():
            if path.startswith(prefix) and path.endswith(suffix):
                parameter = path[len(prefix) : len(path) - len(suffix)]
                if parameter and "/" not in parameter:
                    return candidates, (parameter,)
        return None
