"""Where a tenant's ledger stood when a posting was answered: a read may ask to be no older.

It is the number of the tenant's block that holds the posting. Clients hand it back as it is.
"""

import re

from hpts.domain.rejections import FieldError
from hpts.http.messages import Request
from hpts.http.problems import ProblemRaised

POSITION = "hpts-position"
MIN_POSITION = "hpts-min-position"
FORM = re.compile(r"[1-9][0-9]{0,17}")


def read_min_position(request: Request) -> int:
    """What the client asks for, 0 for nothing. Raises ProblemRaised."""
    given = request.headers.get(MIN_POSITION)
    if given is None:
        return 0
    if len(request.header_values(MIN_POSITION)) > 1:
        problem, message = "duplicate_header", "must be given once"
    elif FORM.fullmatch(given):
        return int(given)
    else:
        problem, message = "pattern", "must be the HPTS-Position of an earlier answer"
    raise ProblemRaised("bad_request", errors=(FieldError("HPTS-Min-Position", problem, message),))
