"""Real-looking files of every format, read to the last minor unit, with what banks do in them."""

import datetime

import pytest

from hpts.bank_files.formats import READERS, read
from hpts.domain.bank_statements import Statement, content_digest, outline_digest

from .banking import FILES, Line, csv_statement

FORMAT_OF = {
    "camt053-v2.xml": "camt053",
    "camt053-v8.xml": "camt053",
    "mt940.sta": "mt940",
    "bai2.txt": "bai2",
    "ofx1.ofx": "ofx",
    "ofx2.ofx": "ofx",
    "statement.csv": "csv",
}
DAY = datetime.date(2026, 3, 2)


def statements_of(name: str) -> list[Statement]:
    found, statements = read((FILES / name).read_bytes(), None)
    assert found == FORMAT_OF[name]
    return statements


def file(name: str) -> bytes:
    return (FILES / name).read_bytes()


def moved(statement: Statement) -> list[int]:
    return [line.amount_minor for line in statement.lines]


@pytest.mark.parametrize("name", FORMAT_OF)
def test_a_format_is_recognized_and_its_statements_add_up(name: str) -> None:
    for statement in statements_of(name):
        assert statement.opening_minor + sum(moved(statement)) == statement.closing_minor
        assert all(line.place for line in statement.lines)


def test_every_format_has_a_file_here() -> None:
    assert set(FORMAT_OF.values()) == set(READERS)
    assert {path.name for path in FILES.iterdir()} == set(FORMAT_OF)


def test_camt053_of_version_2_with_two_statements_a_batch_a_return_and_a_pending_entry() -> None:
    first, second = statements_of("camt053-v2.xml")
    assert first.identifier == second.identifier == "DE89370400440532013000"
    assert (first.statement_ref, first.from_date, first.to_date) == ("2026-041", DAY, DAY)
    assert (first.opening_minor, first.closing_minor) == (1_200_000, 1_245_500)
    # The batch of 300.00 is read as the two payments that it is of; what is pending is not booked.
    assert moved(first) == [25_000, 12_000, 18_000, -9_500]
    assert [line.references[0] for line in first.lines] == [
        "loan-4711-march", "loan-4712-march", "loan-4713-march", "loan-4714-february",
    ]  # fmt: skip
    returned = first.lines[3]
    assert returned.is_reversal
    assert returned.value_on == datetime.date(2026, 2, 27)
    assert second.opening_minor == first.closing_minor
    assert second.lines[0].references == ()  # NOTPROVIDED names nothing
    assert second.lines[0].text == "loan-4715-march danke"


def test_camt053_of_version_8_with_a_prefix_another_kind_of_account_and_no_decimals() -> None:
    (statement,) = statements_of("camt053-v8.xml")
    assert (statement.identifier, statement.currency) == ("0001-7654321", "JPY")
    assert (statement.opening_minor, statement.closing_minor) == (-500, 119_500)  # overdrawn
    assert moved(statement) == [120_000]
    assert "RF18539007547034" in statement.lines[0].references


def test_mt940_with_two_statements_in_swift_blocks_and_reversals_of_either_side() -> None:
    first, second = statements_of("mt940.sta")
    assert first.identifier == "37040044/0532013000"
    # RC takes a credit back, RD a debit.
    assert moved(first) == [25_000, -9_500, 1_550]
    assert [line.is_reversal for line in first.lines] == [False, True, True]
    assert first.lines[0].references == ("loan-4711-march",)
    assert first.lines[1].references == ("loan-4714-february",)
    assert first.lines[2].bank_reference == ""
    assert (first.lines[2].booked_on, first.lines[2].value_on) == (DAY, datetime.date(2026, 2, 27))
    assert second.opening_minor == first.closing_minor
    assert moved(second) == [-100_000]


def test_bai2_with_two_accounts_continuations_and_a_returned_item() -> None:
    first, second = statements_of("bai2.txt")
    assert (first.identifier, first.currency, first.to_date) == ("9876543210", "USD", DAY)
    assert moved(first) == [15_000, 10_000, -13_500]
    assert first.lines[0].references == ("loan-101",)
    assert "OF TWO CHEQUES" in first.lines[1].text
    assert first.lines[2].is_reversal
    assert (second.identifier, second.closing_minor, second.lines) == ("5554443332", 0, ())


def test_ofx_as_sgml_with_open_tags_entities_a_decimal_comma_and_no_opening_balance() -> None:
    (statement,) = statements_of("ofx1.ofx")
    assert (statement.identifier, statement.currency) == ("1234567890", "USD")
    assert moved(statement) == [15_000, -3_525]
    assert (statement.opening_minor, statement.opening_is_stated) == (100_000, False)
    assert statement.lines[0].text == "LOCKBOX & CO loan-101 instalment"
    assert statement.lines[0].booked_on == DAY  # the day that the bank wrote, whatever the zone
    assert statement.lines[1].references == ("1042",)


def test_ofx_as_xml_in_a_currency_of_three_decimals() -> None:
    (statement,) = statements_of("ofx2.ofx")
    assert (statement.currency, statement.closing_minor) == ("KWD", 112_345)
    assert moved(statement) == [12_345]


def test_the_documented_csv() -> None:
    (statement,) = statements_of("statement.csv")
    assert (statement.identifier, statement.statement_ref) == ("ACME-OPERATING", "2026-03-02")
    assert moved(statement) == [25_000, -1_250]
    assert statement.lines[0].text == "Instalment, March"


def test_mt940_pages_of_one_statement_go_on_from_each_other() -> None:
    text = (FILES / "mt940.sta").read_text()
    paged = text.replace(":62F:C260302", ":62M:C260302").replace(":60F:C260302", ":60M:C260302")
    first, second = read(paged.encode(), None)[1]
    assert first.closing_minor == second.opening_minor == 1_217_050


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_xml_is_read_in_any_encoding_that_it_declares(encoding: str) -> None:
    text = (FILES / "camt053-v2.xml").read_text().replace('encoding="UTF-8"', "")
    assert read(text.encode(encoding), None) == read(text.encode(), None)


def test_a_bank_that_writes_latin_1_is_read() -> None:
    content = (FILES / "mt940.sta").read_bytes().replace(b"Gebuehr", "Gebühr".encode("latin-1"))
    assert read(content, None)[1][0].lines[2].text == "Gebühr storniert"


def test_bai2_with_type_codes_of_the_banks_own() -> None:
    text = file("bai2.txt").decode()
    own = text.replace("16,165,", "16,920,").replace("16,555,", "16,975,").encode()
    assert [line.amount_minor for line in read(own, None)[1][0].lines] == [
        line.amount_minor for line in read(text.encode(), None)[1][0].lines
    ]


def test_mt940_means_the_years_1980_to_2079() -> None:
    text = file("mt940.sta").decode()
    for years, meant in (("99", 1999), ("80", 1980), ("79", 2079)):
        dated = text.replace("C26", f"C{years}").replace(":61:26", f":61:{years}")
        statements = read(dated.encode(), None)[1]
        assert {statement.to_date.year for statement in statements} == {meant}
        assert {line.booked_on.year for one in statements for line in one.lines} == {meant}


@pytest.mark.parametrize("kind", ["\u2028", "\x0c", "\x85"])
def test_only_the_ends_of_lines_end_a_line(kind: str) -> None:
    text = f"left{kind}right"
    csv = csv_statement(
        Line("2026-03-02", "5.00", text=text), day="2026-03-02", opening="0.00", closing="5.00"
    )
    bai2 = file("bai2.txt").decode().replace("BRANCH DEPOSIT", text).encode()
    assert read(csv, None)[1][0].lines[0].text == "left right"
    assert any("left right" in line.text for line in read(bai2, None)[1][0].lines)


def test_a_quoted_line_end_and_a_quoted_header_are_taken() -> None:
    plain = csv_statement(
        Line("2026-03-02", "5.00", text='"left\nright"'),
        day="2026-03-02", opening="0.00", closing="5.00",
    )  # fmt: skip
    quoted = plain.replace(b"record,account,", b'"record","account",', 1)
    assert read(quoted, None)[1][0].lines[0].text == "left right"


def test_a_comment_inside_an_amount_is_no_part_of_it() -> None:
    text = file("camt053-v2.xml")
    commented = text.replace(b">250.00<", b">25<!-- cut -->0.00<").replace(
        b"<BookgDt><Dt>", b"<BookgDt><!-- booked --><Dt>"
    )
    assert commented.count(b"<!--") > 2
    assert [one.lines for one in read(commented, None)[1]] == [
        one.lines for one in read(text, None)[1]
    ]


def test_ofx_amounts_may_leave_out_the_nought() -> None:
    text = file("ofx1.ofx").decode()
    (plain,) = read(text.replace("<TRNAMT>150.00", "<TRNAMT>0.50").encode(), None)[1]
    (bare,) = read(text.replace("<TRNAMT>150.00", "<TRNAMT>.50").encode(), None)[1]
    assert bare.lines == plain.lines


def test_what_windows_wrote_keeps_its_characters() -> None:
    windows = file("bai2.txt").decode().replace("BRANCH DEPOSIT", "5 \u20ac \u2013 M\u00fcller")
    texts = [line.text for line in read(windows.encode("cp1252"), None)[1][0].lines]
    assert any("5 \u20ac \u2013 M\u00fcller" in text for text in texts)


def test_the_content_of_a_statement_is_what_it_says_not_where_it_stands() -> None:
    content = (FILES / "camt053-v2.xml").read_bytes()
    moved_down = content.replace(b"<BkToCstmrStmt>", b"\n\n<BkToCstmrStmt>")
    for one, other in zip(read(content, None)[1], read(moved_down, None)[1], strict=True):
        assert one != other  # the places differ
        assert content_digest(one) == content_digest(other)
    changed = content.replace(b"Rate Maerz", b"Rate April")
    assert content_digest(read(changed, None)[1][0]) != content_digest(read(content, None)[1][0])
    assert outline_digest(read(changed, None)[1][0]) == outline_digest(read(content, None)[1][0])
