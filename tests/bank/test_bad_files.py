"""A file that is cut off, wrong or hostile is refused, with the place of what is wrong."""

import random
from collections.abc import Callable

import pytest

from hpts.bank_files.formats import read
from hpts.domain.bank_statements import StatementInvalid
from hpts.domain.rejections import FieldError

from .banking import FILES, HEADER, Line, csv_statement

NAMES = sorted(path.name for path in FILES.iterdir())
MUTATIONS_PER_FILE = 150


def refused(content: bytes, file_format: str | None = None) -> tuple[FieldError, ...]:
    with pytest.raises(StatementInvalid) as raised:
        read(content, file_format)
    assert raised.value.errors
    return raised.value.errors


def changed(name: str, old: str, new: str, count: int = -1) -> bytes:
    content = (FILES / name).read_bytes()
    assert old.encode() in content
    return content.replace(old.encode(), new.encode(), count)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_off_is_refused_wherever_the_cut_is(name: str) -> None:
    content = (FILES / name).read_bytes()
    whole = read(content, None)
    for end in range(0, len(content), max(1, len(content) // 120)):
        try:
            found = read(content[:end], None)
        except StatementInvalid as error:
            assert all(one.field and one.message for one in error.errors)
        else:
            # Only after the last thing that is said, or between two whole statements.
            assert found[1] == whole[1][: len(found[1])], f"cut at byte {end}"


@pytest.mark.parametrize("name", NAMES)
def test_bytes_changed_at_random_end_as_a_statement_or_a_refusal(name: str, seed: int) -> None:
    drawn = random.Random(f"{seed} {name}")
    content = (FILES / name).read_bytes()
    for _ in range(MUTATIONS_PER_FILE):
        changing = bytearray(content)
        for _ in range(drawn.randint(1, 4)):
            at = drawn.randrange(len(changing))
            kind = drawn.randrange(3)
            if kind == 0:
                changing[at] = drawn.randrange(256)
            elif kind == 1:
                del changing[at : at + drawn.randint(1, 30)]
            else:
                changing[at:at] = changing[drawn.randrange(len(changing)) :][:40]
        try:
            _, statements = read(bytes(changing), None)
        except StatementInvalid as error:
            assert error.errors
        else:
            for statement in statements:
                moved = sum(line.amount_minor for line in statement.lines)
                assert statement.opening_minor + moved == statement.closing_minor


@pytest.mark.parametrize(
    ("content", "place", "code"),
    [
        (lambda: changed("camt053-v2.xml", "<Amt Ccy=\"EUR\">250.00", "<Amt Ccy=\"USD\">250.00"),
         "line 23, Stmt[1]/Ntry[1]/Amt", "currency"),
        (lambda: changed("camt053-v2.xml", ">250.00<", ">250.001<"),
         "line 23, Stmt[1]/Ntry[1]/Amt", "invalid"),
        (lambda: changed("camt053-v2.xml", ">250.00<", ">1,250.00<"),
         "line 23, Stmt[1]/Ntry[1]/Amt", "invalid"),
        (lambda: changed("camt053-v2.xml", ">250.00<", ">251.00<"),
         "line 8, Stmt[1]", "does_not_add_up"),
        (lambda: changed("camt053-v2.xml", "CLBD", "XXXX"), "line 8, Stmt[1]", "invalid"),
        (lambda: changed("camt053-v2.xml", "<BookgDt><Dt>2026-03-02", "<BookgDt><Dt>2026-02-30"),
         "line 24, Stmt[1]/Ntry[1]/BookgDt", "invalid"),
        (lambda: changed("camt053-v8.xml", ">120000<", ">120000.50<"),
         "line 23, Stmt[1]/Ntry[1]/Amt", "invalid"),
        (lambda: changed("mt940.sta", "CR250,00", "CR250,05"), "line 2, statement 1",
         "does_not_add_up"),
        (lambda: changed("mt940.sta", ":61:260303D", ":61:26XX03D"), "line 20, statement 2, :61:",
         "invalid"),
        (lambda: changed("mt940.sta", ":62F:C260303", ":62F:C260230"),
         "line 22, statement 2, :62F:", "invalid"),
        (lambda: changed("mt940.sta", "D1000,00", "D1000.00"), "line 16, statement 2", "invalid"),
        (lambda: changed("mt940.sta", ":62F:C260302EUR", ":62F:C260302USD"),
         "line 2, statement 1", "currency"),
        (lambda: changed("mt940.sta", "D1000,00", "D1000,001"), "line 20, statement 2, :61:",
         "invalid"),
        (lambda: changed("bai2.txt", "16,165,15000", "16,165,15001"), "line 10 or before",
         "invalid"),
        (lambda: changed("bai2.txt", "16,165", "16,001"), "line 5 or before", "invalid"),
        (lambda: changed("bai2.txt", "CITIUS33,1,", "CITIUS33,2,"), "group 1", "invalid"),
        (lambda: changed("bai2.txt", "CITIUS33,1,", "CITIUS33,3,"), "group 1", "invalid"),
        (lambda: changed("bai2.txt", "CITIUS33,1,", "CITIUS33,4,"), "group 1", "invalid"),
        (lambda: changed("bai2.txt", ",USD,010", ",US1,010"), "account 1 (9876543210)", "currency"),
        (lambda: changed("ofx1.ofx", "<TRNAMT>150.00", "<TRNAMT>150.005"), "line 17, TRNAMT",
         "invalid"),
        (lambda: changed("ofx1.ofx", "<FITID>FIT-1", "<FITID>FIT-1<CORRECTFITID>FIT-0"),
         "line 17, STMTTRN", "invalid"),
        (lambda: changed("ofx1.ofx", "</BANKTRANLIST>", "", 1), "line 22", "invalid"),
        (lambda: csv_statement(Line("2026-03-02", "5.001"), day="2026-03-02", opening="0",
                               closing="5"), "line 3, amount", "invalid"),
        (lambda: csv_statement(Line("2026-03-02", "1e3"), day="2026-03-02", opening="0",
                               closing="5"), "line 3, amount", "invalid"),
        (lambda: csv_statement(Line("3.3.2026", "5"), day="2026-03-02", opening="0", closing="5"),
         "line 3, date", "invalid"),
        (lambda: csv_statement(currency="XXX", day="2026-03-02", opening="0", closing="0"),
         "line 2, currency", "currency"),
        (lambda: csv_statement(Line("2026-W10-1", "5"), day="2026-03-02", opening="0", closing="5"),
         "line 3, date", "invalid"),
        (lambda: csv_statement(Line("9999-12-31", "5"), day="2026-03-02", opening="0", closing="5"),
         "line 3", "invalid"),
        (lambda: csv_statement(Line("0001-01-01", "5"), day="2026-03-02", opening="0", closing="5"),
         "line 3", "invalid"),
        (lambda: csv_statement(day="2080-01-01", opening="0", closing="0"), "line 2", "invalid"),
        (f"{HEADER}\nline,A,USD,S,2026-03-02,,5,,,".encode, "line 2", "invalid"),
        (f"{HEADER}\nopening,A,USD".encode, "line 2", "invalid"),
        (lambda: b"record,amount\nline,5", "line 1", "invalid"),
        (lambda: b"%PDF-1.7", "line 1", "unknown_format"),
        (lambda: b"", "line 1", "unknown_format"),
        (lambda: b"<html><body>Session expired</body></html>", "line 1", "invalid"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(
    content: Callable[[], bytes], place: str, code: str
) -> None:
    first = refused(content())[0]
    assert (first.field, first.code) == (place, code), first


def test_a_line_that_cannot_be_read_is_said_once_and_not_as_a_sum_that_is_wrong() -> None:
    errors = refused(
        csv_statement(Line("2026-03-02", "5,00"), day="2026-03-02", opening="0", closing="5")
    )
    assert [error.field for error in errors] == ["line 3"]
    errors = refused(
        csv_statement(Line("2026-03-02", "5x"), day="2026-03-02", opening="0", closing="5")
    )
    assert [error.field for error in errors] == ["line 3, amount"]


def test_everything_that_is_wrong_is_listed_at_once() -> None:
    lines = [Line("2026-03-02", "a"), Line("2026-03-02", "5.00"), Line("2026-3-2", "1")]
    errors = refused(csv_statement(*lines, day="2026-03-02", opening="0", closing="6.00"))
    assert [error.field for error in errors] == ["line 3, amount", "line 5, date"]


def test_a_bai2_file_that_ends_before_its_trailer_is_refused_at_once() -> None:
    """The library would read the last record again and again, until memory ends."""
    lines = (FILES / "bai2.txt").read_bytes().splitlines(keepends=True)
    for end in range(1, len(lines)):
        assert "99" in refused(b"".join(lines[:end]), "bai2")[0].message
    assert "99" in refused(b"".join([*lines, lines[-1]]), "bai2")[0].message
    assert "99" in refused(b"".join([*lines, lines[4]]), "bai2")[0].message


def test_amounts_past_int64_are_refused() -> None:
    huge = "92233720368547758.08"
    errors = refused(
        csv_statement(Line("2026-03-02", huge), day="2026-03-02", opening="0", closing=huge)
    )
    assert "9223372036854775807" in errors[0].message
    half = "60000000000000000.00"
    errors = refused(csv_statement(Line("2026-03-02", half), day="2026-03-02", opening=half,
                                   closing="120000000000000000.00"))  # fmt: skip
    assert errors


ENTITY = '<!DOCTYPE d [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'
LAUGHS = "<!DOCTYPE d [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12)
) + "]>"  # fmt: skip


@pytest.mark.parametrize("declaration", [ENTITY, LAUGHS, "<!DOCTYPE d SYSTEM 'http://x.test/d'>"])
@pytest.mark.parametrize("used", ["&secret;", "&a11;", "2026-041"])
def test_xml_entities_and_document_types_are_never_taken(declaration: str, used: str) -> None:
    text = (FILES / "camt053-v2.xml").read_text()
    hostile = text.replace("<Document", declaration + "<Document", 1).replace("2026-041", used)
    errors = refused(hostile.encode())
    assert "root:" not in str(errors)


@pytest.mark.parametrize("used", ["&secret;", "&a11;"])
def test_nor_in_ofx(used: str) -> None:
    text = (FILES / "ofx2.ofx").read_text()
    declared = text.replace("<OFX>", ENTITY + "<OFX>").replace("K1", used)
    assert refused(declared.encode(), "ofx")
    _, (statement,) = read(text.replace("K1", used).encode(), None)
    assert statement.lines[0].bank_reference == used  # a text like any other


def test_xml_nested_without_end_is_refused() -> None:
    deep = "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.02'>" + "<a>" * 100_000
    assert refused(deep.encode())
    assert refused(("<OFX>" + "<A>" * 100_000).encode())


def test_a_file_name_as_content_opens_no_file() -> None:
    for file_format in ("mt940", "bai2", "ofx", "csv", "camt053"):
        assert "root:" not in str(refused(b"/etc/passwd", file_format))
    assert "root:" not in str(refused(b":20:/etc/passwd", "mt940"))
