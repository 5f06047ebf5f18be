"""What the load test knows of each loan, and which answers that leaves possible.

Postings under way make a balance uncertain, so sums are kept twice: as sent, which may have been
posted, and as acknowledged, which must have been. A posting whose outcome was never learned stays
sent for ever: it widens the bounds and never makes a right answer look wrong.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from loadtest.answers import Allocation, LoanBalance, WrongAnswer


class Sight(NamedTuple):
    """What was known of a loan when a request was sent."""

    increase_acknowledged_minor: int
    decrease_acknowledged_minor: int
    entries_acknowledged: int
    changes: int
    is_quiet: bool


class Sent(NamedTuple):
    """A posting under way. `sight` is from just before it was counted."""

    sight: Sight
    increase_minor: int
    decrease_minor: int


@dataclass
class Loan:
    """One loan. `principal_minor` and `interest_minor` are right whenever nothing is under way."""

    loan_id: str
    borrower_id: str
    principal_minor: int = 0
    interest_minor: int = 0
    under_way: int = 0
    changes: int = 0
    """Grows with every send and every acknowledgement: unchanged, nobody else wrote meanwhile."""
    entries_sent: int = 0
    entries_acknowledged: int = 0
    _increase_sent_minor: int = field(default=0, repr=False)
    _increase_acknowledged_minor: int = field(default=0, repr=False)
    _decrease_sent_minor: int = field(default=0, repr=False)
    _decrease_acknowledged_minor: int = field(default=0, repr=False)

    def look(self) -> Sight:
        """Before a read is sent."""
        return Sight(
            self._increase_acknowledged_minor,
            self._decrease_acknowledged_minor,
            self.entries_acknowledged,
            self.changes,
            self.under_way == 0,
        )

    def send(self, *, increase_minor: int = 0, decrease_minor: int = 0) -> Sent:
        """Before a posting is sent: how far it may raise or lower what the loan owes."""
        sight = self.look()
        self.under_way += 1
        self.changes += 1
        self.entries_sent += 1
        self._increase_sent_minor += increase_minor
        self._decrease_sent_minor += decrease_minor
        return Sent(sight, increase_minor, decrease_minor)

    def disbursed(self, sent: Sent) -> None:
        self._acknowledge(sent, principal_minor=sent.increase_minor)

    def accrued(self, sent: Sent) -> None:
        self._acknowledge(sent, interest_minor=sent.increase_minor)

    def reversed_payment(self, sent: Sent, allocation: Allocation) -> None:
        self._acknowledge(
            sent,
            principal_minor=int(allocation.principal_minor),
            interest_minor=int(allocation.interest_minor),
        )

    def paid(self, sent: Sent, allocation: Allocation) -> None:
        """Raises WrongAnswer where the payment cannot have been divided like this."""
        interest_minor = int(allocation.interest_minor)
        principal_minor = int(allocation.principal_minor)
        suspense_minor = int(allocation.suspense_minor)
        self._check_allocation(sent, allocation)
        # what went to suspense did not lower what the loan owes
        self._decrease_sent_minor -= suspense_minor
        self._acknowledge(sent, principal_minor=-principal_minor, interest_minor=-interest_minor)

    def check_balance(self, sight: Sight, balance: LoanBalance) -> None:
        """Raises WrongAnswer where the balance was at no time between `sight` and now."""
        principal_minor = int(balance.principal_outstanding_minor)
        interest_minor = int(balance.interest_receivable_minor)
        fees_minor = int(balance.fees_receivable_minor)
        total_minor = int(balance.total_exposure_minor)
        if balance.loan_id != self.loan_id:
            raise WrongAnswer("the balance of another loan")
        if min(principal_minor, interest_minor, fees_minor) < 0:
            raise WrongAnswer("a component of a balance is negative")
        if total_minor != principal_minor + interest_minor + fees_minor:
            raise WrongAnswer("total_exposure_minor is not the sum of the components")
        if fees_minor != 0:
            raise WrongAnswer("fees that nobody assessed")
        lowest_minor = sight.increase_acknowledged_minor - self._decrease_sent_minor
        highest_minor = self._increase_sent_minor - sight.decrease_acknowledged_minor
        if total_minor < lowest_minor:
            raise WrongAnswer("a balance is lower than every payment together explains")
        if total_minor > highest_minor:
            raise WrongAnswer("a balance is without a payment that was answered before")
        if self._is_alone(sight, own_changes=0) and (principal_minor, interest_minor) != (
            self.principal_minor,
            self.interest_minor,
        ):
            raise WrongAnswer("a component of a balance is not what was posted")

    def check_entry_count(self, sight: Sight, shown: int, *, is_all: bool) -> None:
        """Raises WrongAnswer where a history of `shown` entries has too few or too many."""
        if is_all and shown < sight.entries_acknowledged:
            raise WrongAnswer("a history is without an entry that was answered before")
        if shown + (not is_all) > self.entries_sent:
            raise WrongAnswer("a history has more entries than were sent")

    def _check_allocation(self, sent: Sent, allocation: Allocation) -> None:
        parts = (
            int(allocation.fees_minor),
            int(allocation.interest_minor),
            int(allocation.principal_minor),
            int(allocation.suspense_minor),
        )
        amount_minor = sent.decrease_minor
        if sum(parts) != amount_minor:
            raise WrongAnswer("an allocation is not the amount of its payment")
        if self._is_alone(sent.sight, own_changes=1):
            interest_minor = min(self.interest_minor, amount_minor)
            principal_minor = min(self.principal_minor, amount_minor - interest_minor)
            rest_minor = amount_minor - interest_minor - principal_minor
            if parts != (0, interest_minor, principal_minor, rest_minor):
                raise WrongAnswer("an allocation is not fees, interest, principal, rest")
        others_minor = self._decrease_sent_minor - amount_minor
        if parts[0]:
            raise WrongAnswer("fees that nobody assessed")
        if parts[3] and sent.sight.increase_acknowledged_minor - others_minor >= amount_minor:
            raise WrongAnswer("money in suspense though the loan owed it")

    def _is_alone(self, sight: Sight, *, own_changes: int) -> bool:
        """Whether nothing else was under way between `sight` and now."""
        return sight.is_quiet and self.changes == sight.changes + own_changes

    def _acknowledge(
        self, sent: Sent, *, principal_minor: int = 0, interest_minor: int = 0
    ) -> None:
        self.under_way -= 1
        self.changes += 1
        self.entries_acknowledged += 1
        self.principal_minor += principal_minor
        self.interest_minor += interest_minor
        moved_minor = principal_minor + interest_minor
        if sent.decrease_minor:
            self._decrease_acknowledged_minor -= moved_minor
        else:
            self._increase_acknowledged_minor += moved_minor
