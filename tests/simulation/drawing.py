"""Draws what the clients of a scenario ask for."""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from .database import FIRST_DAY, LoanRow
from .requests import Request

ROLES = (
    "cash",
    "principal_receivable",
    "interest_receivable",
    "fees_receivable",
    "disbursement_clearing",
    "suspense",
    "interest_income",
)
HUGE = 2**62


@dataclass
class Portfolio:
    """A tenant and the loans that its clients name; some exist before the scenario."""

    tenant_id: bytes
    codes: dict[str, int]
    loan_ids: list[bytes]
    existing: dict[bytes, LoanRow]
    borrowers: dict[bytes, bytes] = field(default_factory=dict)


@dataclass
class Errand:
    """A request with the manner of its client."""

    request: Request
    at: float
    ledger: int
    tries: int
    patience: float | None
    """After so long the client hangs up."""
    reverses: "Errand | None" = None
    """Whose entry a reversal means: its identifier is known when that one is posted."""
    entry_id: bytes | None = None


def draw_portfolio(draw: random.Random, number: int) -> Portfolio:
    """A tenant with its own account codes; a loan may owe fees, which no request can charge."""
    loan_ids = [draw.randbytes(16) for _ in range(draw.randint(2, 4))]
    borrowers = {loan_id: bytes(reversed(loan_id)) for loan_id in loan_ids}
    codes = {role: 1_000 * number + 100 + at for at, role in enumerate(ROLES)}
    existing = {}
    for loan_id in loan_ids[draw.choice((0, 0, 1, 2)) :]:
        currency = b"EUR" if draw.random() < 0.1 else b"USD"
        owed = (draw.randint(0, 300), draw.randint(0, 30), draw.choice((0, 0, 7)))
        existing[loan_id] = LoanRow(borrowers[loan_id], currency, *owed, None)
    return Portfolio(draw.randbytes(16), codes, loan_ids, existing, borrowers)


def draw_errands(
    draw: random.Random, portfolios: list[Portfolio], *, seconds: float, ledgers: int
) -> list[Errand]:
    """What is asked, by whom, when; in the order of arrival."""
    has_huge_amounts = draw.random() < 0.03
    errands: list[Errand] = []
    at = 0.0
    for number in range(draw.randint(10, 24)):
        if draw.random() < 0.5:
            at += draw.random() * seconds / 6  # else together with the one before
        ledger = draw.randrange(ledgers)
        tries = draw.choice((1, 2, 4))
        patience = draw.expovariate(100) if draw.random() < 0.08 else None
        earlier = draw.choice(errands) if errands and draw.random() < 0.25 else None
        if earlier is not None:
            request = _again(draw, earlier.request)
            errands.append(Errand(request, at, ledger, tries, patience, earlier.reverses))
            continue
        portfolio = draw.choice(portfolios)
        key = b"request:%d" % number
        request = _draw_request(draw, portfolio, key, has_huge_amounts)
        reverses = None
        if request.kind == "reversal" and errands and draw.random() < 0.95:
            candidates = [e for e in errands if e.request.tenant_id == request.tenant_id]
            reverses = draw.choice(candidates) if candidates else None
        wait = draw.random() * seconds if reverses else 0.0  # until that one is posted
        errands.append(Errand(request, at + wait, ledger, tries, patience, reverses))
    return errands


def _again(draw: random.Random, request: Request) -> Request:
    """The same request once more, or another body under its key."""
    if draw.random() < 0.7:
        return request
    return replace(request, amount=request.amount + 1, day=request.day - 1)


def _draw_request(
    draw: random.Random, portfolio: Portfolio, key: bytes, has_huge_amounts: bool
) -> Request:
    (kind,) = draw.choices(("payment", "disbursement", "accrual", "reversal"), (50, 25, 13, 12))
    day = FIRST_DAY - draw.choice((0, 0, 0, 1, 2)) if not has_huge_amounts else FIRST_DAY
    request = Request(key, portfolio.tenant_id, kind, day=day)
    if kind == "accrual":
        count = draw.randint(1, len(portfolio.loan_ids))
        loans = draw.sample(portfolio.loan_ids, count)
        request = replace(
            request, interest=tuple((loan_id, draw.randint(0, 20)) for loan_id in loans)
        )
    elif kind == "reversal":
        request = replace(request, reverses=draw.randbytes(16))
    else:
        loan_id = draw.choice(portfolio.loan_ids)
        amount = draw.randint(1, 200) if kind == "payment" else draw.randint(50, 500)
        if has_huge_amounts and draw.random() < 0.3:
            amount = HUGE
        loan = portfolio.existing.get(loan_id)
        request = replace(
            request,
            loan_id=loan_id,
            borrower_id=portfolio.borrowers[loan_id],
            amount=amount,
            currency=b"USD" if loan is None else loan.currency,
        )
    return _spoiled(draw, portfolio, request) if draw.random() < 0.1 else request


def _spoiled(draw: random.Random, portfolio: Portfolio, request: Request) -> Request:
    """A request that a rule refuses, or that only just passes."""
    ways: list[dict[str, Any]] = [
        {"day": FIRST_DAY + 1},
        {"day": FIRST_DAY + 2},
        {"metadata_bytes": 4_097},
        {"borrower_id": bytes(16)},
        {"currency": b"EUR"},
        {"currency": b"XTS"},
        {"amount": 0},
        {"amount": 2**63},
        {"loan_id": draw.randbytes(16)},
    ]
    if request.kind == "accrual":
        first = request.interest[0]
        others = (first, (draw.randbytes(16), 1), (draw.choice(portfolio.loan_ids), 0))
        ways = [ways[0], ways[1], {"interest": (*request.interest, draw.choice(others))}]
    elif request.kind == "reversal":
        ways = ways[:3]
    return replace(request, **draw.choice(ways))
