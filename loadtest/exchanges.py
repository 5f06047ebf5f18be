"""One request and the check of its answer at a time, on the loans of one tenant.

It knows nothing of locust: whoever sends an exchange gives the answer to its `check`, which raises
WrongAnswer. Amounts are whole minor units everywhere.
"""

import datetime
import random
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from loadtest.answers import (
    AccrualBatchResult,
    Allocation,
    Answer,
    DisbursementResult,
    JournalEntryPage,
    LoanBalance,
    PaymentResult,
    ReversalResult,
    WrongAnswer,
    check_page,
    check_posted,
    check_read,
    check_replayed,
    instant_of,
)
from loadtest.books import Loan

PAYMENT_MINOR_MIN, PAYMENT_MINOR_MAX = 100, 5_000
SMALL_LOAN_MINOR = 20_000
"""Of loans opened during a run: a few payments pay them off, and the next goes to suspense."""
LOANS_PER_ACCRUAL = 100
ANNUAL_RATE_PERCENT = 5
PAGE_SIZE = 20
PAST_POSTINGS_MAX = 2_000
PAST_PAYMENTS_MAX = 2_000


class Exchange(NamedTuple):
    """A request by its operation id, and the judge of its answer."""

    operation: str
    method: str
    path: str
    key: str | None
    body: bytes
    check: Callable[[Answer], None]


class PastPosting(NamedTuple):
    exchange: Exchange
    answer: Answer


class PastPayment(NamedTuple):
    loan: Loan
    journal_entry_id: str
    allocation: Allocation


class NextPage(NamedTuple):
    """Where a history goes on."""

    loan: Loan
    token: str
    last_instant: tuple[str, str]
    seen: frozenset[str]


class Lender:
    """The loans of one tenant and what was posted on them lately."""

    def __init__(self, name: str, loans: list[Loan], *, seed: int, today: datetime.date) -> None:
        self.name = name
        self.loans = loans
        self._today = today
        self._draw = random.Random(seed)
        self._run = uuid.UUID(int=self._draw.getrandbits(128)).hex[:12]
        self._numbers = 0
        self._accrual_date = today
        self._accrued_loans = 0
        self._past_postings: deque[PastPosting] = deque(maxlen=PAST_POSTINGS_MAX)
        self._past_payments: deque[PastPayment] = deque(maxlen=PAST_PAYMENTS_MAX)
        self._next_pages: deque[NextPage] = deque(maxlen=100)

    def payment(self) -> Exchange:
        loan = self._draw.choice(self.loans)
        amount_minor = self._draw.randint(PAYMENT_MINOR_MIN, PAYMENT_MINOR_MAX)
        sent = loan.send(decrease_minor=amount_minor)

        def check(answer: Answer) -> None:
            result = check_posted(answer, PaymentResult)
            loan.paid(sent, result.allocation)
            self._past_payments.append(
                PastPayment(loan, result.journal_entry_id, result.allocation)
            )

        body = self._loan_fields(loan, amount_minor) | {"source_method": "ach"}
        return self._posting("postPayment", "/v1/payments", "payment", body, check)

    def disbursement(self, loan: Loan | None = None, amount_minor: int | None = None) -> Exchange:
        """Opens a loan, which takes part as soon as it is acknowledged."""
        opened = loan or Loan(self._uuid(), self._uuid())
        sent = opened.send(increase_minor=amount_minor or SMALL_LOAN_MINOR)

        def check(answer: Answer) -> None:
            check_posted(answer, DisbursementResult)
            opened.disbursed(sent)
            if opened.entries_acknowledged == 1:
                self.loans.append(opened)

        body = self._loan_fields(opened, sent.increase_minor) | {"method": "ach"}
        path = "/v1/disbursements"
        return self._posting("postDisbursement", path, "disbursement", body, check)

    def more_principal(self) -> Exchange:
        return self.disbursement(self._draw.choice(self.loans))

    def reversal(self) -> Exchange:
        """Reverses a payment; where there is none yet, it is a payment."""
        if not self._past_payments:
            return self.payment()
        payment: PastPayment = self._take(self._past_payments)
        owed_minor = int(payment.allocation.principal_minor) + int(
            payment.allocation.interest_minor
        )
        sent = payment.loan.send(increase_minor=owed_minor)

        def check(answer: Answer) -> None:
            result = check_posted(answer, ReversalResult)
            if result.reverses_entry_id != payment.journal_entry_id:
                raise WrongAnswer("another entry was reversed than the one asked for")
            payment.loan.reversed_payment(sent, payment.allocation)

        body = {
            "reverses_entry_id": payment.journal_entry_id,
            "reason_code": "payment_returned",
            "reason_description": "NSF",
            "effective_at": self._today.isoformat(),
        }
        return self._posting("postReversal", "/v1/reversals", "reversal", body, check)

    def replay(self) -> Exchange:
        """Sends an answered posting again; where there is none yet, it is a payment."""
        if not self._past_postings:
            return self.payment()
        # taken out meanwhile, so that the same key is never under way twice
        past: PastPosting = self._take(self._past_postings)

        def check(answer: Answer) -> None:
            check_replayed(answer, past.answer)
            self._past_postings.append(past)

        return past.exchange._replace(operation="replay", check=check)

    def accrual(self) -> Exchange:
        """A day's interest of some of the loans."""
        loans, accrual_date = self._next_accrual()
        interest_minor = [
            loan.principal_minor * ANNUAL_RATE_PERCENT // 36_500 + 1 for loan in loans
        ]
        sent = [
            loan.send(increase_minor=minor)
            for loan, minor in zip(loans, interest_minor, strict=True)
        ]

        def check(answer: Answer) -> None:
            result = check_posted(answer, AccrualBatchResult)
            if result.loan_count != len(loans):
                raise WrongAnswer("loan_count is not the number of loans in the batch")
            if int(result.total_accrued_minor) != sum(interest_minor):
                raise WrongAnswer("total_accrued_minor is not the sum of the batch")
            for loan, posting in zip(loans, sent, strict=True):
                loan.accrued(posting)

        body = {
            "program_id": self._uuid(),
            "accrual_date": accrual_date.isoformat(),
            "day_count_convention": "ACT_365",
            "loans": [
                {
                    "loan_id": loan.loan_id,
                    "outstanding_principal_minor": str(loan.principal_minor),
                    "interest_minor": str(minor),
                }
                for loan, minor in zip(loans, interest_minor, strict=True)
            ],
        }
        return self._posting("postAccrualBatch", "/v1/accruals/batch", "accrual", body, check)

    def balance(self, loan: Loan | None = None) -> Exchange:
        asked = loan or self._draw.choice(self.loans)
        sight = asked.look()

        def check(answer: Answer) -> None:
            asked.check_balance(sight, check_read(answer, LoanBalance))

        path = f"/v1/loans/{asked.loan_id}/balance"
        return Exchange("getLoanBalance", "GET", path, None, b"", check)

    def history(self) -> Exchange:
        """The first page of a loan's history, or the next one of a history begun before."""
        follows = self._next_pages.popleft() if self._next_pages else None
        loan = follows.loan if follows else self._draw.choice(self.loans)
        sight = loan.look()

        def check(answer: Answer) -> None:
            page = check_read(answer, JournalEntryPage)
            check_page(page, loan.loan_id, PAGE_SIZE)
            ids = frozenset(entry.journal_entry_id for entry in page.items)
            if follows is None:
                is_all = page.next_page_token is UNSET
                loan.check_entry_count(sight, len(page.items), is_all=is_all)
            elif ids & follows.seen or any(
                instant_of(entry) > follows.last_instant for entry in page.items
            ):
                raise WrongAnswer("a page shows what stood on an earlier page, or newer")
            if page.next_page_token is not UNSET:
                seen = ids | follows.seen if follows else ids
                self._next_pages.append(
                    NextPage(loan, str(page.next_page_token), instant_of(page.items[-1]), seen)
                )

        path = f"/v1/loans/{loan.loan_id}/journal-entries?page_size={PAGE_SIZE}"
        if follows:
            path += f"&page_token={follows.token}"
        return Exchange("listLoanJournalEntries", "GET", path, None, b"", check)

    def _posting(
        self,
        operation: str,
        path: str,
        event: str,
        body: dict[str, Any],
        check: Callable[[Answer], None],
    ) -> Exchange:
        self._numbers += 1

        def check_and_keep(answer: Answer) -> None:
            check(answer)
            self._past_postings.append(PastPosting(exchange, answer))

        key = f"{event}:loadtest-{self._run}:{self._numbers}"
        exchange = Exchange(operation, "POST", path, key, msgspec.json.encode(body), check_and_keep)
        return exchange

    def _next_accrual(self) -> tuple[list[Loan], datetime.date]:
        """Each loan once a day, going back in time: a second accrual of a day would be refused."""
        if self._accrued_loans >= len(self.loans):
            self._accrued_loans = 0
            self._accrual_date -= datetime.timedelta(1)
        loans = self.loans[self._accrued_loans : self._accrued_loans + LOANS_PER_ACCRUAL]
        self._accrued_loans += len(loans)
        return loans, self._accrual_date

    def _loan_fields(self, loan: Loan, amount_minor: int) -> dict[str, str]:
        return {
            "loan_id": loan.loan_id,
            "borrower_id": loan.borrower_id,
            "amount_minor": str(amount_minor),
            "currency": "USD",
            "effective_at": self._today.isoformat(),
        }

    def _take(self, past: "deque[Any]") -> Any:
        """One of the past at random, removed from it."""
        past.rotate(self._draw.randrange(len(past)))
        return past.pop()

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._draw.getrandbits(128), version=4))
