"""What an answer must look like: status, headers and body as the API document says.

Written from the API document alone. Whether the numbers are right is for books.py to say.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

Uuid = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Amount = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,18})$")]
SignedAmount = Annotated[str, msgspec.Meta(pattern=r"^(0|-?[1-9][0-9]{0,18})$")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
AccountCode = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}$")]
Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
Timestamp = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
CODE = re.compile(r"[a-z_]{1,40}")


class WrongAnswer(Exception):
    """The answer is not the one the contract asks for. The reason names no identifier or amount,
    so that equal reasons can be counted."""


class Answer(NamedTuple):
    """Status 0 for none; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Allocation(_Body, frozen=True):
    fees_minor: Amount
    interest_minor: Amount
    principal_minor: Amount
    suspense_minor: Amount


class PaymentResult(_Body, frozen=True):
    payment_event_id: Uuid
    journal_entry_id: Uuid
    allocation: Allocation
    posted_at: Timestamp


class DisbursementResult(_Body, frozen=True):
    disbursement_event_id: Uuid
    journal_entry_id: Uuid
    posted_at: Timestamp


class AccrualBatchResult(_Body, frozen=True):
    accrual_event_id: Uuid
    journal_entry_id: Uuid
    loan_count: Annotated[int, msgspec.Meta(ge=1)]
    total_accrued_minor: Amount
    posted_at: Timestamp


class ReversalResult(_Body, frozen=True):
    journal_entry_id: Uuid
    reverses_entry_id: Uuid
    posted_at: Timestamp
    correlation_id: Uuid | UnsetType = UNSET


class LoanBalance(_Body, frozen=True):
    loan_id: Uuid
    currency: Currency
    as_of_date: Day
    principal_outstanding_minor: SignedAmount
    interest_receivable_minor: SignedAmount
    fees_receivable_minor: SignedAmount
    total_exposure_minor: SignedAmount
    last_activity_at: Timestamp | UnsetType = UNSET


class JournalLine(_Body, frozen=True):
    sequence: Annotated[int, msgspec.Meta(ge=1, le=32767)]
    account_code: AccountCode
    direction: Literal["DR", "CR"]
    amount_minor: Amount
    currency: Currency
    layer: Literal["SETTLED", "PENDING", "ENCUMBRANCE"]
    loan_id: Uuid | UnsetType = UNSET
    borrower_id: Uuid | UnsetType = UNSET
    external_ref: str | UnsetType = UNSET


class JournalEntry(_Body, frozen=True):
    journal_entry_id: Uuid
    event_type: Literal["disbursement", "payment_received", "accrual", "reversal"]
    effective_at: Day
    posted_at: Timestamp
    lines: Annotated[list[JournalLine], msgspec.Meta(min_length=2)]
    correlation_id: Uuid | UnsetType = UNSET
    reverses_entry_id: Uuid | UnsetType = UNSET
    description: str | UnsetType = UNSET
    actor: str | UnsetType = UNSET


class JournalEntryPage(_Body, frozen=True):
    items: list[JournalEntry]
    next_page_token: str | UnsetType = UNSET


Result = TypeVar("Result", PaymentResult, DisbursementResult, AccrualBatchResult, ReversalResult)
Body = TypeVar("Body", bound=_Body)


def check_posted(answer: Answer, body_type: type[Result]) -> Result:
    """The body of a new posting's answer. Raises WrongAnswer."""
    _check_status(answer, 201)
    if "idempotent-replayed" in answer.headers:
        raise WrongAnswer("a new posting was answered as a replay")
    result = _decode(answer, body_type)
    if answer.headers.get("location") != f"/v1/journal-entries/{result.journal_entry_id}":
        raise WrongAnswer("Location is not the posted entry")
    return result


def check_replayed(answer: Answer, first: Answer) -> None:
    """Raises WrongAnswer unless `answer` repeats `first` to the byte."""
    _check_status(answer, 200)
    if answer.headers.get("idempotent-replayed") != "true":
        raise WrongAnswer("a replay without Idempotent-Replayed: true")
    if answer.body != first.body:
        raise WrongAnswer("the body of a replay is not the first one")
    if answer.headers.get("location") != first.headers.get("location"):
        raise WrongAnswer("Location of a replay is not the first one")
    _check_headers(answer)


def check_read(answer: Answer, body_type: type[Body]) -> Body:
    """The body of a read. Raises WrongAnswer."""
    _check_status(answer, 200)
    return _decode(answer, body_type)


def check_page(page: JournalEntryPage, loan_id: str, page_size: int) -> None:
    """Raises WrongAnswer unless the entries are the loan's, balanced and newest first."""
    if len(page.items) > page_size:
        raise WrongAnswer("a page has more entries than were asked for")
    if not page.items and page.next_page_token is not UNSET:
        raise WrongAnswer("an empty page that is not the last")
    # identifiers are UUIDv7: of one instant they still tell the order of posting
    order = [(instant_of(entry), entry.journal_entry_id) for entry in page.items]
    if any(newer <= older for newer, older in itertools.pairwise(order)):
        raise WrongAnswer("a page is not sorted, newest first")
    for entry in page.items:
        _check_entry(entry, loan_id)


def instant_of(entry: JournalEntry) -> tuple[str, str]:
    """`posted_at` in a form that sorts, whether or not it has a fraction of a second."""
    seconds, _, fraction = entry.posted_at.removesuffix("Z").partition(".")
    return seconds, fraction.ljust(9, "0")


def _check_entry(entry: JournalEntry, loan_id: str) -> None:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for place, line in enumerate(entry.lines, start=1):
        if line.sequence != place:
            raise WrongAnswer("the lines of an entry are not numbered from 1")
        if line.amount_minor == "0":
            raise WrongAnswer("a line without an amount")
        amount_minor = int(line.amount_minor)
        sums[line.currency, line.layer] += amount_minor if line.direction == "DR" else -amount_minor
    if any(sums.values()):
        raise WrongAnswer("an entry is not balanced")
    if all(line.loan_id != loan_id for line in entry.lines):
        raise WrongAnswer("an entry of another loan in a loan's history")
    if (entry.event_type == "reversal") != (entry.reverses_entry_id is not UNSET):
        raise WrongAnswer("reverses_entry_id does not go with the event type")


def _check_status(answer: Answer, expected: int) -> None:
    if answer.status == expected:
        return
    if answer.status == 0:
        raise WrongAnswer("no answer (connection lost or time-out)")
    raise WrongAnswer(f"status {answer.status}{_code_of(answer.body)} instead of {expected}")


def _code_of(body: bytes) -> str:
    try:
        code = str(msgspec.json.decode(body)["code"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return ""
    return f" {code}" if CODE.fullmatch(code) else ""


def _check_headers(answer: Answer) -> None:
    if answer.headers.get("content-type") != "application/json":
        raise WrongAnswer("Content-Type is not application/json")
    if answer.headers.get("cache-control") != "no-store":
        raise WrongAnswer("money without Cache-Control: no-store")


def _decode(answer: Answer, body_type: type[Body]) -> Body:
    _check_headers(answer)
    try:
        return msgspec.json.decode(answer.body, type=body_type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise WrongAnswer(f"the body is not a {body_type.__name__}") from None
