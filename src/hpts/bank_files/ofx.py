"""OFX 1 (SGML) and OFX 2 (XML): bank and credit card statements.

One reader for both: tags with at most a text, closed or, as SGML allows, not. No attributes, no
document type, no entity but the five of XML. Amounts are signed; the bank's day is the day written.
"""

import datetime
import re
from collections.abc import Iterator
from functools import partial
from html import unescape

from hpts.bank_files.decoding import decode
from hpts.bank_files.values import read_amount, read_currency
from hpts.domain.bank_statements import (
    Statement,
    StatementLine,
    invalid,
    make_line,
    make_statement,
    read_each,
)
from hpts.domain.limits import STATEMENT_LINES_PER_FILE_MAX, STATEMENTS_PER_FILE_MAX

DEPTH_MAX = 32
TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Z0-9.]{1,32})\s*(?P<empty>/?)>(?P<text>[^<]*)")
STATEMENTS = ("STMTRS", "CCSTMTRS")
REFERENCES = ("CHECKNUM", "REFNUM", "SRVRTID")
TEXTS = ("NAME", "MEMO")


class Element:
    """A tag with what stands in it."""

    def __init__(self, name: str, line: int, text: str = "") -> None:
        self.name = name
        self.line = line
        self.text = text
        self.children: list[Element] = []

    def walk(self, *names: str) -> Iterator["Element"]:
        """Every element below of these names, in the order of the file."""
        for child in self.children:
            if child.name in names:
                yield child
            else:
                yield from child.walk(*names)

    def find(self, name: str) -> "Element | None":
        return next(self.walk(name), None)

    def need(self, name: str) -> "Element":
        found = self.find(name)
        if found is None:
            raise invalid(f"line {self.line}, {self.name}", f"must hold {name}")
        return found

    def text_of(self, name: str) -> str:
        found = self.find(name)
        return "" if found is None else found.text

    @property
    def place(self) -> str:
        return f"line {self.line}, {self.name}"


def read_ofx(content: bytes) -> list[Statement]:
    """The file's statements. Raises StatementInvalid, with the line and the element."""
    root = _parse(decode(content))
    found = list(root.walk(*STATEMENTS))
    if not found or len(found) > STATEMENTS_PER_FILE_MAX:
        raise invalid("line 1", f"must hold 1 to {STATEMENTS_PER_FILE_MAX} statements (STMTRS)")
    return read_each(found, _statement)


def _parse(text: str) -> Element:
    began = text.find("<OFX>")
    if began < 0 or "<!DOCTYPE" in text[:began].upper():
        raise invalid("line 1", "must hold <OFX> and no document type")
    line = 1 + text.count("\n", 0, began)
    top = Element("file", line)
    stack, at, count = [top], began, 0
    while at < len(text):
        tag = TAG.match(text, at)
        if tag is None:
            raise invalid(f"line {line}", f"is no OFX tag: {text[at : at + 40]!r}")
        said = unescape(tag["text"]).strip() if "&" in tag["text"] else tag["text"].strip()
        if tag["close"]:
            _close(stack, tag["name"], line)
        elif said:
            stack[-1].children.append(Element(tag["name"], line, said))
        elif not tag["empty"]:
            stack.append(Element(tag["name"], line))
            stack[-2].children.append(stack[-1])
            count += tag["name"] == "STMTTRN"
        if len(stack) > DEPTH_MAX or count > STATEMENT_LINES_PER_FILE_MAX:
            raise invalid(f"line {line}", "is nested too deep, or has too many transactions")
        line += text.count("\n", at, tag.end())
        at = tag.end()
    if len(stack) > 1:
        raise invalid(f"line {line}", f"ends before {stack[-1].name} does: the file is cut off")
    return top


def _close(stack: list[Element], name: str, line: int) -> None:
    """End the innermost element of the name. What SGML left open in it was empty; the end of what
    held a text is the end of nothing."""
    open_names = [element.name for element in stack]
    if name in open_names[1:]:
        inner = len(open_names) - 1 - open_names[::-1].index(name)
        for left_open in stack[inner + 1 :]:
            if left_open.children:
                raise invalid(f"line {line}", f"ends {name} before {left_open.name} inside it")
        del stack[inner:]
    elif not any(child.name == name for child in stack[-1].children):
        raise invalid(f"line {line}", f"ends {name}, which was not begun")


def _statement(element: Element) -> Statement:
    currency = read_currency(element.need("CURDEF").text, element.need("CURDEF").place)
    balance = element.need("LEDGERBAL")
    lines = read_each(element.walk("STMTTRN"), partial(_line, currency=currency))
    began = element.find("DTSTART")
    return make_statement(
        identifier=element.need("ACCTID").text,
        currency=currency,
        statement_ref="",
        opening_minor=None,
        closing_minor=_amount(balance.need("BALAMT"), currency),
        closing_on=_day(balance.need("DTASOF")),
        from_date=None if began is None else _day(began),
        lines=lines,
        place=element.place,
    )


def _line(element: Element, currency: str) -> StatementLine:
    if element.find("CORRECTFITID"):
        message = "corrects a transaction sent before, which is never changed: have it sent as new"
        raise invalid(element.place, message)
    for own in element.walk("CURRENCY", "ORIGCURRENCY"):
        if own.name == "CURRENCY" and own.text_of("CURSYM") != currency:
            raise invalid(own.place, f"the account is in {currency}", "currency")
    valued = element.find("DTAVAIL")
    return make_line(
        booked_on=_day(element.need("DTPOSTED")),
        value_on=None if valued is None else _day(valued),
        amount_minor=_amount(element.need("TRNAMT"), currency),
        bank_reference=element.need("FITID").text,
        references=[element.text_of(name) for name in REFERENCES],
        text=" ".join(element.text_of(name) for name in TEXTS),
        place=element.place,
    )


def _amount(element: Element, currency: str) -> int:
    """The point may be a comma, and the nought before it left out."""
    written = re.sub(r"^([+-]?)\.", r"\g<1>0.", element.text.replace(",", "."))
    return read_amount(written, currency, element.place)


def _day(element: Element) -> datetime.date:
    """The first eight digits, as the bank wrote them: a time zone does not move a booking day."""
    digits = re.match(r"([0-9]{4})([0-9]{2})([0-9]{2})", element.text)
    try:
        if digits:
            return datetime.date(*map(int, digits.groups()))
    except ValueError:
        pass
    raise invalid(element.place, "must begin with a date (YYYYMMDD)")
