"""Request bodies: decoded into structs, then parsed into what the ledger works with.

The fast path only accepts or refuses; every reason is listed by document.py. A payload's
fingerprint covers the operation and the decoded payload, so member order and white space do not
matter.
"""

import datetime
import functools
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.accrual import Accrual, AccruedLoan
from hpts.domain.blocks import principals_digest
from hpts.domain.disbursement import Disbursement
from hpts.domain.entries import day_of
from hpts.domain.identifiers import read_identifier
from hpts.domain.limits import LOANS_PER_ACCRUAL_MAX
from hpts.domain.payment import Payment
from hpts.domain.rejections import FieldError
from hpts.domain.reversal import Reversal
from hpts.http.document import list_errors
from hpts.http.problems import ProblemRaised

Method = Literal["ach", "wire", "card", "check", "cash", "rtp", "fednow", "internal", "other"]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Metadata = dict[str, Any] | UnsetType
Command = TypeVar("Command")
Payload = TypeVar("Payload", bound=msgspec.Struct)

CURRENCY = re.compile(r"[A-Z]{3}")
CURRENCIES_REMEMBERED = 256
DAYS_REMEMBERED = 4_096
"""Days are few and come again: a payment is effective today, a correction within a few years."""


class Misfit(ValueError):
    """A string that does not have the form its field needs."""


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class PaymentRequest(Body, frozen=True):
    loan_id: str
    borrower_id: str
    amount_minor: str
    currency: str
    effective_at: str
    source_method: Method
    external_ref: Reference | UnsetType = UNSET
    metadata: Metadata = UNSET


class DisbursementRequest(Body, frozen=True):
    loan_id: str
    borrower_id: str
    amount_minor: str
    currency: str
    effective_at: str
    method: Method
    destination_ref: Reference | UnsetType = UNSET
    metadata: Metadata = UNSET


class AccrualLoan(Body, frozen=True):
    loan_id: str
    outstanding_principal_minor: str
    interest_minor: str


class AccrualBatchRequest(Body, frozen=True):
    program_id: str
    accrual_date: str
    day_count_convention: Literal["ACT_365", "ACT_360", "ACT_ACT", "THIRTY_360"]
    loans: Annotated[
        list[AccrualLoan], msgspec.Meta(min_length=1, max_length=LOANS_PER_ACCRUAL_MAX)
    ]


class ReversalRequest(Body, frozen=True):
    reverses_entry_id: str
    reason_code: Literal[
        "error_correction",
        "payment_returned",
        "duplicate",
        "fraud",
        "chargeback",
        "customer_dispute",
        "other",
    ]
    reason_description: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    effective_at: str
    metadata: Metadata = UNSET


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a request stands on its entry beside the lines, kept as JSON."""

    method: str | UnsetType = UNSET
    # of a disbursement: the chain of blocks then covers who the borrower was when a loan was opened
    borrower_id: str | UnsetType = UNSET
    external_ref: str | UnsetType = UNSET
    program_id: str | UnsetType = UNSET
    day_count_convention: str | UnsetType = UNSET
    # of an accrual: what the client computed it on stands beside the lines, so the hash covers this
    principals_digest: str | UnsetType = UNSET
    reason_code: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    metadata: Metadata = UNSET


_plain = msgspec.json.Encoder()
_sorted = msgspec.json.Encoder(order="deterministic")


class Kind:
    """How the body of one operation becomes a command."""

    def __init__(
        self, operation: str, payload: type[Payload], command: Callable[[Payload], Any]
    ) -> None:
        self.operation = operation
        self._schema_name = payload.__name__
        self._decoder = msgspec.json.Decoder(payload)
        self._command = command
        self._prefix = operation.encode() + b"\0"

    def decode(self, body: bytes) -> tuple[Any, bytes]:
        """(command, fingerprint). Raises ProblemRaised that lists every failing field."""
        try:
            payload = self._decoder.decode(body)
            command = self._command(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Misfit) as error:
            errors = list_errors(self._schema_name, body)
            if not errors:  # the fast path is the stricter one: say what it said
                errors = (FieldError("", "invalid", str(error)[:200]),)
            raise ProblemRaised("bad_request", errors=errors) from None
        has_metadata = getattr(payload, "metadata", UNSET) is not UNSET
        canonical = (_sorted if has_metadata else _plain).encode(payload)
        return command, sha256(self._prefix + canonical).digest()


def parse_identifier(text: str) -> bytes:
    """16 bytes of an 8-4-4-4-12 identifier, in either case. Raises Misfit."""
    identifier = read_identifier(text)
    if identifier is None:
        raise Misfit("must be a UUID")
    return identifier


@functools.lru_cache(DAYS_REMEMBERED)
def parse_day(text: str) -> int:
    """Days from 2000-01-01 of YYYY-MM-DD. Raises Misfit."""
    if len(text) == 10 and text[4] == text[7] == "-" and text.isascii():
        try:
            return day_of(datetime.date.fromisoformat(text))
        except ValueError:
            pass
    raise Misfit("must be a date")


def _amount(text: str) -> int:
    if not (0 < len(text) <= 19 and text.isascii() and text.isdigit()) or (
        text[0] == "0" and len(text) > 1
    ):
        raise Misfit("must be an amount in minor units")
    return int(text)


@functools.lru_cache(CURRENCIES_REMEMBERED)
def _currency(text: str) -> bytes:
    if not CURRENCY.fullmatch(text):
        raise Misfit("must be three capital letters")
    return text.encode()


def _metadata_bytes(metadata: Metadata) -> int:
    return 0 if metadata is UNSET else len(_plain.encode(metadata))


def _payment(payload: PaymentRequest) -> Payment:
    return Payment(
        loan_id=parse_identifier(payload.loan_id),
        borrower_id=parse_identifier(payload.borrower_id),
        amount_minor=_amount(payload.amount_minor),
        currency=_currency(payload.currency),
        effective_day=parse_day(payload.effective_at),
        details=_plain.encode(
            Details(
                method=payload.source_method,
                external_ref=payload.external_ref,
                metadata=payload.metadata,
            )
        ),
        metadata_bytes=_metadata_bytes(payload.metadata),
    )


def _disbursement(payload: DisbursementRequest) -> Disbursement:
    return Disbursement(
        loan_id=parse_identifier(payload.loan_id),
        borrower_id=parse_identifier(payload.borrower_id),
        amount_minor=_amount(payload.amount_minor),
        currency=_currency(payload.currency),
        effective_day=parse_day(payload.effective_at),
        details=_plain.encode(
            Details(
                method=payload.method,
                borrower_id=payload.borrower_id,
                external_ref=payload.destination_ref,
                metadata=payload.metadata,
            )
        ),
        metadata_bytes=_metadata_bytes(payload.metadata),
    )


def _accrual(payload: AccrualBatchRequest) -> Accrual:
    parse_identifier(payload.program_id)
    loans = tuple(
        AccruedLoan(
            parse_identifier(loan.loan_id),
            _amount(loan.outstanding_principal_minor),
            _amount(loan.interest_minor),
        )
        for loan in payload.loans
    )
    accrued = (
        (one.loan_id, one.outstanding_principal_minor) for one in loans if one.interest_minor
    )
    return Accrual(
        effective_day=parse_day(payload.accrual_date),
        loans=loans,
        details=_plain.encode(
            Details(
                program_id=payload.program_id,
                day_count_convention=payload.day_count_convention,
                principals_digest=principals_digest(accrued),
            )
        ),
    )


def _reversal(payload: ReversalRequest) -> Reversal:
    return Reversal(
        reverses_entry_id=parse_identifier(payload.reverses_entry_id),
        effective_day=parse_day(payload.effective_at),
        details=_plain.encode(
            Details(
                reason_code=payload.reason_code,
                description=payload.reason_description,
                metadata=payload.metadata,
            )
        ),
        metadata_bytes=_metadata_bytes(payload.metadata),
    )


PAYMENT = Kind("postPayment", PaymentRequest, _payment)
DISBURSEMENT = Kind("postDisbursement", DisbursementRequest, _disbursement)
ACCRUAL_BATCH = Kind("postAccrualBatch", AccrualBatchRequest, _accrual)
REVERSAL = Kind("postReversal", ReversalRequest, _reversal)
