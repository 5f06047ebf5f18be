"""Books with a bit of everything, to be tampered with and verified."""

import datetime
import uuid
from typing import Any, NamedTuple

from hpts.store.verify import Verified, verify_tenant

from .ledger_fixture import Books, accrual, days_ago, disbursement, payment, reversal

ONE, TWO, THREE, STRANGER = (uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in range(4))
OF_ENTRY = "WHERE tenant_id = %(tenant)s AND journal_entry_id = %(entry)s"
OF_BLOCK = "WHERE tenant_id = %(tenant)s AND block_number = %(block)s"
OF_LOAN = "WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s"


class Story(NamedTuple):
    """Seven blocks: three disbursements, two payments, an accrual, two reversals, and more."""

    books: Books
    lent_on: datetime.date
    lent: list[uuid.UUID]
    paid: list[uuid.UUID]
    accrued: uuid.UUID
    unaccrued: uuid.UUID
    unpaid: uuid.UUID

    def verify(self) -> Verified:
        return verify_tenant(self.books.database_url, self.books.tenant_id)

    def found(self) -> dict[str, str]:
        """The row that each finding names, by check."""
        return {finding.check: finding.row for finding in self.verify().findings}

    def tamper(self, *statements: str, **parameters: Any) -> None:
        self.books.tamper(*statements, **parameters)

    def block(self, number: int) -> dict[str, Any]:
        names = "block_number, previous_hash, entries_root, first_entry_id, entry_count, block_hash"
        query = f"SELECT {names} FROM ledger_blocks WHERE tenant_id = %s AND block_number = %s"
        (row,) = self.books.fetch(query, number)
        return dict(zip(names.split(", "), row, strict=True))


async def tell_story(books: Books) -> Story:
    lent_on = days_ago(40)
    async with books.open_for_posting() as post:
        lent = await post(
            disbursement(ONE, 1_000, on=lent_on),
            disbursement(TWO, 500, on=lent_on),
            disbursement(THREE, 70, currency="EUR"),
        )
        (accrued,) = await post(accrual({ONE: 30, TWO: 15}, on=days_ago(20)))
        paid = await post(payment(ONE, 430), payment(TWO, 700))
        await post(payment(THREE, 100, currency="EUR"))
        (unpaid,) = await post(reversal(paid[0]))
        (accrued_again,) = await post(accrual({ONE: 7, TWO: 8}))
        (unaccrued,) = await post(reversal(accrued_again))
    return Story(books, lent_on, lent, paid, accrued, unaccrued, unpaid)
