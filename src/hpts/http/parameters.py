"""Path and query parameters: checked by form, and refused all together, each with what it must be.

A parameter that the operation does not know is refused: a misspelt as_of_date must not answer
today's balance.
"""

import datetime
import re
from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from hpts.domain.identifiers import format_identifier
from hpts.domain.instants import Instant, parse_instant
from hpts.domain.limits import PARAMETER_ERRORS_MAX
from hpts.domain.rejections import FieldError
from hpts.http.messages import Request
from hpts.http.payloads import CURRENCY, Misfit, parse_day, parse_identifier
from hpts.http.problems import ProblemRaised

LAYERS = {"SETTLED": b"S", "PENDING": b"P", "ENCUMBRANCE": b"E"}
NAME_SHOWN_MAX = 100


class Parameters:
    """The parameters of one request. Read each, then `check`: what failed is answered at once."""

    def __init__(self, request: Request, known: Collection[str] = ()) -> None:
        self._path = request.path_parameters
        self._errors: list[FieldError] = []
        self._query: dict[str, str] = {}
        for part in request.query_string.split(b"&"):
            if part:
                name, _, value = part.replace(b"+", b" ").partition(b"=")
                self._add(_decode(name), _decode(value), known)

    def check(self) -> None:
        """Raises ProblemRaised that lists every parameter that failed."""
        if self._errors:
            raise ProblemRaised("bad_request", errors=tuple(self._errors))

    def path_identifier(self, name: str) -> tuple[bytes, str]:
        """The only path parameter as 16 bytes and in lower case."""
        (text,) = self._path
        try:
            identifier = parse_identifier(text)
        except Misfit:
            self.refuse(name, "format", "must be a UUID")
            return b"", ""
        return identifier, format_identifier(identifier)

    def path_text(self, name: str, form: re.Pattern[str], message: str) -> str:
        """The only path parameter, of a form."""
        (text,) = self._path
        if not form.fullmatch(text):
            self.refuse(name, "pattern", message)
        return text

    def identifier(self, name: str) -> str | None:
        """A UUID of the query in lower case, or None where it was not given."""
        text = self._query.get(name)
        if text is None:
            return None
        try:
            return format_identifier(parse_identifier(text))
        except Misfit:
            self.refuse(name, "format", "must be a UUID")
            return None

    def date(self, name: str) -> str | None:
        """A date as it was written, or None where it was not given."""
        text = self._query.get(name)
        if text is not None:
            try:
                parse_day(text)
            except Misfit:
                self.refuse(name, "format", "must be a date (YYYY-MM-DD)")
        return text

    def period(self) -> tuple[str | None, str | None]:
        """`from_date` and `to_date`, as `date` has them; the second may not be before the first."""
        failed = len(self._errors)
        from_date, to_date = self.date("from_date"), self.date("to_date")
        if from_date and to_date and to_date < from_date and len(self._errors) == failed:
            self.refuse("to_date", "range", "must not be before from_date")
        return from_date, to_date

    def instant(self, name: str) -> Instant | None:
        """An instant, or None where it was not given."""
        text = self._query.get(name)
        if text is None:
            return None
        instant = parse_instant(text)
        if instant is None:
            self.refuse(name, "format", "must be an RFC 3339 instant (2026-10-31T23:59:59Z)")
        return instant

    def text(self, name: str) -> str | None:
        """A parameter as it was written, or None."""
        return self._query.get(name)

    def choice(self, name: str, known: Collection[str]) -> str | None:
        """One of `known`, or None where it was not given."""
        text = self._query.get(name)
        if text is not None and text not in known:
            self.refuse(name, "enum", f"must be one of {', '.join(known)}")
        return text

    def currency(self) -> str | None:
        """A currency's code by its form, or None where it was not given."""
        text = self._query.get("currency")
        if text is not None and not CURRENCY.fullmatch(text):
            self.refuse("currency", "pattern", "must be three capital letters")
        return text

    def required_currency(self) -> str:
        """A currency's code by its form, which must be given."""
        currency = self.currency()
        if currency is None:
            self.refuse("currency", "required", "must be given: a balance is in one currency")
        return currency or ""

    def layer(self) -> str:
        """A layer's name; SETTLED where it was not given."""
        return self.choice("layer", LAYERS) or "SETTLED"

    def number(self, name: str, *, default: int, highest: int, lowest: int = 1) -> int:
        """A whole number from `lowest` to `highest`."""
        text = self._query.get(name, str(default))
        if re.fullmatch(r"0|[1-9][0-9]{0,5}", text) and lowest <= int(text) <= highest:
            return int(text)
        self.refuse(name, "range", f"must be a whole number from {lowest} to {highest}")
        return default

    def refuse(self, name: str, code: str, message: str) -> None:
        """Note what is wrong with a parameter."""
        if len(self._errors) < PARAMETER_ERRORS_MAX:
            self._errors.append(FieldError(name, code, message))

    def _add(self, name: str, value: str, known: Collection[str]) -> None:
        if name not in known:
            message = f"is not a parameter here; known: {', '.join(sorted(known)) or 'none'}"
            self.refuse(name[:NAME_SHOWN_MAX], "unknown_parameter", message)
        elif name in self._query:
            self.refuse(name, "duplicate_parameter", "must be given once")
        else:
            self._query[name] = value


def today(known_at: Instant | None = None) -> str:
    """Today in UTC; of an instant that was earlier its day."""
    now = datetime.datetime.now(datetime.UTC).date()
    return (now if known_at is None else min(now, known_at.day)).isoformat()


def _decode(piece: bytes) -> str:
    return unquote_to_bytes(piece).decode("utf-8", "replace")
