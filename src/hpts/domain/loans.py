"""What a loan demands of a posting: that it exists, in its own currency and for its own
borrower.
"""

from hpts._posting import Batch
from hpts.domain.rejections import Refusal, Rejection, refuse

NO_LOAN = -1


def check_terms(batch: Batch, loan: int, borrower_id: bytes, currency: bytes) -> Refusal | None:
    """The first disbursement fixed a loan's currency and borrower; neither ever changes."""
    fixed_borrower_id, fixed_currency = batch.loan_terms(loan)
    if currency != fixed_currency:
        return refuse(
            Rejection.CURRENCY_MISMATCH,
            "currency",
            f"must be {fixed_currency.decode()}, the loan's",
        )
    if borrower_id != fixed_borrower_id:
        return refuse(Rejection.BORROWER_MISMATCH, "borrower_id", "is not the loan's borrower")
    return None
