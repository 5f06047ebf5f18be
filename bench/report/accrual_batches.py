"""Posts accrual batches over HTTP: one day's interest of a set of loans after the other.

The body is made once and only its day changes, so that the client costs little of the machine.
Each batch comes over a connection of its own, and so to any of the workers.
"""

import datetime
import http.client
import json
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bench.report.programs import MeasurementFailed

FIRST_DAY = datetime.date(2001, 1, 1)
"""Days in the past, for a day's accrual of a loan can be posted once and none in the future."""
INTEREST_MINOR = "27"
PRINCIPAL_MINOR = "100000000"
ANSWER_SECONDS_MAX = 60


class AccrualBatches:
    """One set of loans of a tenant; each batch posted is the next day's."""

    def __init__(self, base_url: str, token: str, loan_ids: Sequence[str]) -> None:
        self._netloc = urlsplit(base_url).netloc
        self._token = token
        self._day = FIRST_DAY
        loans = [
            {
                "loan_id": loan_id,
                "outstanding_principal_minor": PRINCIPAL_MINOR,
                "interest_minor": INTEREST_MINOR,
            }
            for loan_id in loan_ids
        ]
        encoded = json.dumps(loans, separators=(",", ":"))
        self._head = f'{{"program_id":"{uuid.uuid4()}","day_count_convention":"ACT_365"'
        self._tail = f',"loans":{encoded}}}'

    def post_next(self) -> float:
        """Post the next day's batch; the seconds until its 201. Raises MeasurementFailed."""
        body = f'{self._head},"accrual_date":"{self._day.isoformat()}"{self._tail}'.encode()
        self._day += datetime.timedelta(days=1)
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"accrual:{uuid.uuid4()}",
        }
        started_at = time.monotonic()
        connection = http.client.HTTPConnection(self._netloc, timeout=ANSWER_SECONDS_MAX)
        try:
            connection.request("POST", "/v1/accruals/batch", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise MeasurementFailed(f"an accrual batch was not answered: {error}") from error
        finally:
            connection.close()
        if answer.status != 201:
            raise MeasurementFailed(
                f"an accrual batch was answered {answer.status}: {content[:200]!r}"
            )
        return time.monotonic() - started_at


def read_loan_ids(loans: Path) -> list[str]:
    """The loans of a file of "loan_id borrower_id" lines."""
    return [line.split()[0] for line in loans.read_text().splitlines()]


class Poster:
    """A thread that posts batches, `every` so many seconds or one after the other, until told."""

    def __init__(self, batches: AccrualBatches, every: float = 0) -> None:
        self.seconds: list[float] = []
        """How long each batch took."""
        self._batches = batches
        self._every = every
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._post, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Let the batch under way end. Raises MeasurementFailed where one was refused."""
        self._stopped.set()
        self._thread.join(ANSWER_SECONDS_MAX + 5)
        if self._failure is not None:
            raise MeasurementFailed(str(self._failure)) from self._failure

    def _post(self) -> None:
        due = time.monotonic()
        try:
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                self.seconds.append(self._batches.post_next())
                due += self._every
        except Exception as error:  # a thread's exception would be lost
            self._failure = error
