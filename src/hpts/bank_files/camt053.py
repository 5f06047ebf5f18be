"""ISO 20022 camt.053 (bank to customer statement), any version from 2 to 13, by lxml.

Takes no document type, so no entity is ever declared, and touches nothing but the bytes given.
An entry whose details add up to it is read as its details: they are what was paid.
"""

import datetime
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from hpts.bank_files.values import read_amount, read_currency, read_day
from hpts.domain.bank_statements import (
    Errors,
    Statement,
    StatementLine,
    invalid,
    make_line,
    make_statement,
    read_each,
)
from hpts.domain.limits import STATEMENT_LINES_PER_FILE_MAX, STATEMENTS_PER_FILE_MAX

NAMESPACE = re.compile(
    r"\{urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(0[2-9]|1[0-3])\}Document"
)
BOOKED = "BOOK"
OPENING, CLOSING = ("OPBD", "PRCD", "ITBD"), ("CLBD", "ITBD")
SIDES = {"CRDT": 1, "DBIT": -1}
REFERENCES = ("EndToEndId", "InstrId", "TxId", "PmtInfId", "MsgId", "ChqNb", "ClrSysRef", "UETR")


def read_camt053(content: bytes) -> list[Statement]:
    """The file's statements. Raises StatementInvalid, with the line and the element's path."""
    root = _parse(content)
    if not NAMESPACE.fullmatch(root.tag):
        raise invalid("line 1", f"is no camt.053 document of version 2 to 13: {root.tag[:100]}")
    found = root.findall("{*}BkToCstmrStmt/{*}Stmt")
    if not found or len(found) > STATEMENTS_PER_FILE_MAX:
        raise invalid("line 1", f"must hold 1 to {STATEMENTS_PER_FILE_MAX} statements (Stmt)")
    entries = sum(1 for _ in root.iter("{*}Ntry", "{*}TxDtls"))
    if entries > STATEMENT_LINES_PER_FILE_MAX:
        raise invalid("line 1", f"must hold at most {STATEMENT_LINES_PER_FILE_MAX} entries")
    return read_each(found, _statement)


def _parse(content: bytes) -> Any:
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_pis=True,
        remove_comments=True,  # or a text would end where one begins
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise invalid(f"line {error.lineno or 1}", f"is no whole XML: {error.msg}") from error
    if root.getroottree().docinfo.doctype:
        raise invalid("line 1", "must not declare a document type")
    return root


def _statement(element: Any) -> Statement:
    account = _need(element, "{*}Acct/{*}Id")
    identifier = _text(account, "{*}IBAN") or _text(account, "{*}Othr/{*}Id")
    if not identifier:
        raise invalid(_place(account), "must name the account by IBAN or Othr/Id")
    closing, closing_on, currency = _balance(element, CLOSING, is_last=True)
    opening, _, opening_currency = _balance(element, OPENING, is_last=False)
    stated = _text(element, "{*}Acct/{*}Ccy") or currency
    if not stated == currency == opening_currency:
        raise invalid(_place(element), "account and balances must be in one currency", "currency")
    began = _find(element, "{*}FrToDt/{*}FrDtTm")
    errors, lines = Errors(), list[StatementLine]()
    for entry in element.findall("{*}Ntry"):
        with errors:
            lines += _entry(entry, currency)
    errors.check()
    return make_statement(
        identifier=identifier,
        currency=currency,
        statement_ref=_text(element, "{*}Id"),
        opening_minor=opening,
        closing_minor=closing,
        closing_on=closing_on,
        from_date=None if began is None else _day(began),
        lines=lines,
        place=_place(element),
    )


def _balance(
    element: Any, kinds: tuple[str, ...], *, is_last: bool
) -> tuple[int, datetime.date, str]:
    """The balance of the first of `kinds` that is there: amount, day, currency. A page in the
    middle of a statement has two interim ones, the first to open it and the last to close it."""
    for kind in kinds:
        found = [
            balance
            for balance in element.findall("{*}Bal")
            if _text(balance, "{*}Tp/{*}CdOrPrtry/{*}Cd") == kind
        ]
        if found:
            balance = found[-1 if is_last else 0]
            amount = _need(balance, "{*}Amt")
            currency = _currency(amount)
            day = _day(_need(balance, "{*}Dt"))
            return _side(balance) * _amount(amount, currency), day, currency
    raise invalid(_place(element), f"must have a balance (Bal) of type {' or '.join(kinds)}")


def _entry(entry: Any, currency: str) -> Iterator[StatementLine]:
    """The entry's lines: its details where they add up to it, else itself; none when not booked."""
    status = _text(entry, "{*}Sts/{*}Cd") or _text(entry, "{*}Sts")
    if status and status != BOOKED:
        return
    side, amount = _side(entry), _need(entry, "{*}Amt")
    if _currency(amount) != currency:
        raise invalid(
            _place(amount), f"the account is in {currency}, the entry in {_currency(amount)}",
            "currency",
        )  # fmt: skip
    whole = side * _amount(amount, currency)
    booked, valued = _find(entry, "{*}BookgDt"), _find(entry, "{*}ValDt")
    if booked is None and valued is None:
        raise invalid(_place(entry), "must have a booking date (BookgDt)")
    details = entry.findall("{*}NtryDtls/{*}TxDtls")
    parts = [_part(detail, currency, side) for detail in details]
    is_split = len(parts) > 1 and sum(part or 0 for part in parts) == whole and all(parts)
    bank_reference = _text(entry, "{*}AcctSvcrRef")
    for at, (minor, sources) in enumerate(
        [(part or 0, [detail]) for part, detail in zip(parts, details, strict=True)]
        if is_split
        else [(whole, details)]
    ):
        yield make_line(
            booked_on=_day(valued if booked is None else booked),
            value_on=None if valued is None else _day(valued),
            amount_minor=minor,
            bank_reference=f"{bank_reference}#{at + 1}"
            if is_split and bank_reference
            else bank_reference,
            references=_references(entry, sources),
            text=_remittance(entry, sources),
            is_reversal=_text(entry, "{*}RvslInd") in ("true", "1"),
            place=_place(sources[0] if is_split else entry),
        )


def _part(detail: Any, currency: str, side: int) -> int | None:
    """What a detail moves, or None where it does not say so in the account's currency."""
    amount = _find(detail, "{*}Amt")
    if amount is None:
        amount = _find(detail, "{*}AmtDtls/{*}TxAmt/{*}Amt")
    if amount is None or amount.get("Ccy") != currency:
        return None
    own = SIDES.get(_text(detail, "{*}CdtDbtInd"), side)
    return own * _amount(amount, currency)


def _references(entry: Any, details: list[Any]) -> list[str]:
    found = [_text(entry, "{*}NtryRef")]
    for detail in details:
        found += [_text(detail, f"{{*}}Refs/{{*}}{name}") for name in REFERENCES]
        found += [
            each.text or "" for each in detail.findall("{*}RmtInf/{*}Strd/{*}CdtrRefInf/{*}Ref")
        ]
        found += [_text(detail, "{*}Refs/{*}AcctSvcrRef")]
    return found


def _remittance(entry: Any, details: list[Any]) -> str:
    said = [each.text or "" for detail in details for each in detail.findall("{*}RmtInf/{*}Ustrd")]
    return " ".join([*said, _text(entry, "{*}AddtlNtryInf")])


def _side(element: Any) -> int:
    indicator = _need(element, "{*}CdtDbtInd")
    side = SIDES.get((indicator.text or "").strip())
    if side is None:
        raise invalid(_place(indicator), "must be CRDT or DBIT")
    return side


def _currency(amount: Any) -> str:
    return read_currency(str(amount.get("Ccy", "")), f"{_place(amount)}/@Ccy")


def _amount(element: Any, currency: str) -> int:
    minor = read_amount((element.text or "").strip(), currency, _place(element))
    if minor < 0:
        raise invalid(_place(element), "must not be negative: CdtDbtInd says the side")
    return minor


def _day(element: Any) -> datetime.date:
    """The day of a date or of an instant as the bank wrote it."""
    given = element.text if len(element) == 0 else element[0].text
    return read_day((given or "").strip()[:10], _place(element))


def _find(element: Any, path: str) -> Any:
    return element.find(path)


def _need(element: Any, path: str) -> Any:
    found = element.find(path)
    if found is None:
        raise invalid(_place(element), f"must hold {path.replace('{*}', '')}")
    return found


def _text(element: Any, path: str) -> str:
    found = element.find(path)
    return "" if found is None else (found.text or "").strip()


def _place(element: Any) -> str:
    """`line 48, Stmt[2]/Ntry[3]/Amt`"""
    names = []
    at = element
    while at is not None and not at.tag.endswith(("}BkToCstmrStmt", "}Document")):
        name = etree.QName(at).localname
        count = 1 + sum(1 for _ in at.itersiblings(at.tag, preceding=True))
        names.append(f"{name}[{count}]" if name in ("Stmt", "Ntry", "TxDtls", "Bal") else name)
        at = at.getparent()
    return f"line {element.sourceline}, {'/'.join(reversed(names))}"
