"""The days of one pool: which postings a day brings, in the order in which a loan needs them.

Pure apart from the oracle, which gets each entry as it is planned. Ask for every day once, in
order, and accrue before moving: a day's interest is on what was outstanding when it began.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

import msgspec

from hpts.demo import postings
from hpts.demo.behaviour import PlannedPayment, amount_on_day, collect_again
from hpts.demo.interest import day_weight, divide_interest
from hpts.demo.oracle import Entry, Oracle
from hpts.demo.portfolio import Loan, Pool, Tranche
from hpts.demo.postings import LoanInterest, Posting

LOANS_PER_BATCH_MAX = 10_000
COLLECTED_AGAIN_AFTER_DAYS = 3


class _Return(msgspec.Struct, frozen=True):
    payment: Entry
    amount_minor: int


class _LoanCourse(msgspec.Struct):
    """Where one loan stands in its plan."""

    loan: Loan
    carry: int = 0
    disbursement_count: int = 0
    payment_count: int = 0


_Action = Tranche | PlannedPayment | _Return


class PoolDays:
    def __init__(self, pool: Pool, loans: Iterable[Loan], oracle: Oracle) -> None:
        self.pool = pool
        self._oracle = oracle
        self._courses = [_LoanCourse(loan) for loan in loans]
        self._agenda: defaultdict[date, list[tuple[_LoanCourse, _Action]]] = defaultdict(list)
        for course in self._courses:
            for tranche in course.loan.tranches:
                self._agenda[tranche.day].append((course, tranche))
            for payment in course.loan.payments:
                self._agenda[payment.day].append((course, payment))

    def accrue(self, day: date) -> list[Posting]:
        """The day's batches; none on a day without interest (a 31st under 30/360)."""
        shares = self._divide_day(day)
        found = []
        for part, start in enumerate(range(0, len(shares), LOANS_PER_BATCH_MAX), 1):
            batch = shares[start : start + LOANS_PER_BATCH_MAX]
            if any(share.interest_minor for share in batch):
                found.append(self._expect(postings.accrue(self.pool, day, batch, part=part)))
        return found

    def move(self, day: date) -> list[list[Posting]]:
        """Disbursements, payments and returns: a list per loan, to be posted in its order."""
        by_loan: defaultdict[str, list[Posting]] = defaultdict(list)
        for course, action in self._agenda.pop(day, ()):
            posting = self._act(course, action, day)
            if posting is not None:
                by_loan[course.loan.loan_id].append(self._expect(posting))
        return list(by_loan.values())

    def _divide_day(self, day: date) -> list[LoanInterest]:
        weight, convention = day_weight(self.pool.convention, day), self.pool.convention
        shares = []
        for course in self._courses:
            principal = self._oracle.loans[course.loan.loan_id].principal_minor
            if principal == 0:
                continue
            interest, course.carry = divide_interest(
                principal_minor=principal,
                rate_bps=course.loan.rate_bps,
                convention=convention,
                weight=weight,
                carry=course.carry,
            )
            shares.append(LoanInterest(course.loan.loan_id, principal, interest))
        return shares

    def _act(self, course: _LoanCourse, action: _Action, day: date) -> Posting | None:
        match action:
            case Tranche():
                course.disbursement_count += 1
                return postings.disburse(course.loan, action, number=course.disbursement_count)
            case PlannedPayment():
                return self._pay(course, action)
            case _Return():
                again_on = day + timedelta(days=COLLECTED_AGAIN_AFTER_DAYS)
                again = collect_again(action.amount_minor, again_on)
                self._agenda[again_on].append((course, again))
                return postings.return_payment(self.pool, action.payment, day)

    def _pay(self, course: _LoanCourse, planned: PlannedPayment) -> Posting | None:
        owed = self._oracle.loans[course.loan.loan_id]
        amount = amount_on_day(planned, owed_minor=owed.total_minor, currency=self.pool.currency)
        if amount == 0:
            return None
        course.payment_count += 1
        posting = postings.receive_payment(
            course.loan, planned, number=course.payment_count, amount_minor=amount, owed=owed
        )
        if planned.returned_after_days:
            returned_on = planned.day + timedelta(days=planned.returned_after_days)
            self._agenda[returned_on].append((course, _Return(posting.entry, amount)))
        return posting

    def _expect(self, posting: Posting) -> Posting:
        self._oracle.post(posting.entry)
        return posting
