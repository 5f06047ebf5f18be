"""The ledger's rules once more, in plain Python: what a request posts, or why it is refused.

Written from the rules of the contract, and sharing no code with the package.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .requests import Request

INT64_MAX = 2**63 - 1
METADATA_MAX = 4_096
COMPONENTS = ("principal_receivable", "interest_receivable", "fees_receivable")
CURRENCIES = (b"USD", b"EUR")
"""The active ones among those that scenarios use."""
ORDER = (
    "amount_not_positive",
    "amount_overflow",
    "unknown_currency",
    "loan_not_found",
    "currency_mismatch",
    "borrower_mismatch",
    "mixed_currencies",
    "duplicate_loan",
    "already_accrued",
    "effective_date_in_future",
    "period_closed",
    "entry_not_found",
    "already_reversed",
    "not_reversible",
    "negative_balance",
    "metadata_too_large",
)
"""Of several reasons the first is told."""

RuleLine = tuple[str, str, int, bytes, bytes | None]
"""Role of the account, side ("D" or "C"), amount, currency, loan."""


@dataclass
class ModelLoan:
    """What a loan owes: principal, interest, fees."""

    borrower_id: bytes
    currency: bytes
    owed: list[int] = field(default_factory=lambda: [0, 0, 0])


@dataclass
class ModelEntry:
    """A posted entry."""

    entry_id: bytes
    digest: bytes
    attempt: int
    kind: str
    correlation_id: bytes
    reply: bytes
    lines: list[RuleLine]
    day: int = 0
    is_reversed: bool = False


@dataclass
class View:
    """What the books show to a request: its loans as locked, and what was looked up for it."""

    loans: dict[bytes, ModelLoan]
    today: int
    closed_through: int = -1
    moves_late: bool = False
    accrued: set[bytes] = field(default_factory=set)
    original: ModelEntry | None = None
    totals: dict[tuple[str, str, bytes], int] = field(default_factory=dict)
    """Of the batch: what it has added by role, side and currency."""


@dataclass
class Planned:
    """What a request posts."""

    lines: list[RuleLine]
    result: tuple[int, ...]
    entry: ModelEntry | None = None


def judge(request: Request, view: View) -> Planned | str:
    """What the request posts, which the view then shows; or the code of its refusal."""
    planned = _RULES[request.kind](request, view)
    if isinstance(planned, Planned):
        after = _after(view, planned.lines, request.borrower_id)
        if isinstance(after, View):
            view.loans, view.totals = after.loans, after.totals
            return planned
        planned = {after}
    if request.metadata_bytes > METADATA_MAX:
        planned.add("metadata_too_large")
    return min(planned, key=ORDER.index)


def _payment(request: Request, view: View) -> Planned | set[str]:
    reasons = _reasons(request, view, needs_loan=True)
    if reasons:
        return reasons
    left, parts = request.amount, []
    principal, interest, fees = view.loans[request.loan_id].owed
    for owed in (fees, interest, principal):
        parts.append(min(left, owed))
        left -= parts[-1]
    parts.append(left)
    roles = ("fees_receivable", "interest_receivable", "principal_receivable", "suspense")
    currency, loan_id = request.currency, request.loan_id
    lines: list[RuleLine] = [("cash", "D", request.amount, currency, loan_id)]
    lines += [
        (role, "C", part, currency, loan_id)
        for role, part in zip(roles, parts, strict=True)
        if part
    ]
    return Planned(lines, tuple(parts))


def _disbursement(request: Request, view: View) -> Planned | set[str]:
    reasons = _reasons(request, view, needs_loan=False)
    if reasons:
        return reasons
    terms = (request.amount, request.currency, request.loan_id)
    return Planned(
        [("principal_receivable", "D", *terms), ("disbursement_clearing", "C", *terms)], ()
    )


def _reasons(request: Request, view: View, *, needs_loan: bool) -> set[str]:
    reasons = set()
    if request.amount <= 0:
        reasons.add("amount_not_positive")
    if request.amount > INT64_MAX:
        reasons.add("amount_overflow")
    if request.currency not in CURRENCIES:
        reasons.add("unknown_currency")
    loan = view.loans.get(request.loan_id)
    if loan is None:
        if needs_loan:
            reasons.add("loan_not_found")
    else:
        if loan.currency != request.currency:
            reasons.add("currency_mismatch")
        if loan.borrower_id != request.borrower_id:
            reasons.add("borrower_mismatch")
    return reasons | _late(request, view)


def _late(request: Request, view: View) -> set[str]:
    reasons = set()
    if request.day > view.today + 1:
        reasons.add("effective_date_in_future")
    elif request.day <= view.closed_through and not view.moves_late:
        reasons.add("period_closed")
    if request.metadata_bytes > METADATA_MAX:
        reasons.add("metadata_too_large")
    return reasons


def _accrual(request: Request, view: View) -> Planned | set[str]:
    total = sum(interest for _, interest in request.interest)
    loan_ids = [loan_id for loan_id, _ in request.interest]
    reasons = _late(request, view)
    if total == 0:
        reasons.add("amount_not_positive")
    if len(set(loan_ids)) < len(loan_ids):
        reasons.add("duplicate_loan")
    if any(loan_id not in view.loans for loan_id in loan_ids):
        reasons.add("loan_not_found")
        return reasons
    currencies = {view.loans[loan_id].currency for loan_id in loan_ids}
    if len(currencies) > 1:
        reasons.add("mixed_currencies")
    if any(interest and loan_id in view.accrued for loan_id, interest in request.interest):
        reasons.add("already_accrued")
    if reasons:
        return reasons
    (currency,) = currencies
    lines: list[RuleLine] = [
        ("interest_receivable", "D", interest, currency, loan_id)
        for loan_id, interest in request.interest
        if interest
    ]
    lines.append(("interest_income", "C", total, currency, None))
    return Planned(lines, (len(loan_ids), total))


def _reversal(request: Request, view: View) -> Planned | set[str]:
    reasons = _late(request, view)
    original = view.original
    if original is None:
        return reasons | {"entry_not_found"}
    if original.is_reversed:
        reasons.add("already_reversed")
    if original.kind == "reversal":
        reasons.add("not_reversible")
    lines: list[RuleLine] = [
        (role, "C" if side == "D" else "D", amount, currency, loan_id)
        for role, side, amount, currency, loan_id in original.lines
    ]
    if reasons <= {"metadata_too_large"}:  # else these lines are not to be posted anyway
        after = _after(view, lines)
        if after == "negative_balance" or (after == "amount_overflow" and not reasons):
            reasons.add(after)
    return reasons or Planned(lines, ())


_RULES = {
    "payment": _payment,
    "disbursement": _disbursement,
    "accrual": _accrual,
    "reversal": _reversal,
}


def _after(view: View, lines: Iterable[RuleLine], borrower_id: bytes = b"") -> View | str:
    """The view when the lines are posted, which may open a loan; or why they cannot be."""
    loans = {loan_id: replace(loan, owed=list(loan.owed)) for loan_id, loan in view.loans.items()}
    totals = dict(view.totals)
    for role, side, amount, currency, loan_id in lines:
        if loan_id is not None and loan_id not in loans:
            loans[loan_id] = ModelLoan(borrower_id, currency)
        add_line(loans, (role, side, amount, currency, loan_id))
        place = (role, side, currency)
        totals[place] = totals.get(place, 0) + amount
    if any(max(loan.owed) > INT64_MAX for loan in loans.values()):
        return "amount_overflow"
    if any(min(loan.owed) >= 0 and sum(loan.owed) > INT64_MAX for loan in loans.values()):
        return "amount_overflow"  # all that a loan owes is an amount, too
    if any(total > INT64_MAX for total in totals.values()):
        return "amount_overflow"
    if any(min(loan.owed) < 0 for loan in loans.values()):
        return "negative_balance"
    return View(loans, view.today, totals=totals)


def add_line(loans: dict[bytes, ModelLoan], line: RuleLine) -> None:
    """What a line does to the loan that it names."""
    role, side, amount, _, loan_id = line
    if loan_id is not None and role in COMPONENTS:
        at = COMPONENTS.index(role)
        loans[loan_id].owed[at] += amount if side == "D" else -amount
