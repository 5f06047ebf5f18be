"""Imports of statements: whole or not at all, once, and honest about what does not go on."""

import threading

import pytest

from hpts.domain.bank_accounts import BankAccountRefused
from hpts.domain.bank_statements import StatementInvalid
from hpts.store.bank_imports import Imported
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import set_tenant_status
from tests.bank.banking import FILES, REF, Bank, Line, csv_statement
from tests.store.ledger_fixture import Books

IBAN, NUMBER = "DE89370400440532013000", "37040044/0532013000"


@pytest.fixture
def bank(database_url: str) -> Bank:
    return Bank(Books(database_url))


def file(name: str) -> bytes:
    return (FILES / name).read_bytes()


def result(one: Imported) -> tuple[bool, int, int, int]:
    return (one.is_new, one.line_count, one.repeated_line_count, one.gap_minor)


def test_every_statement_of_a_file_is_imported_with_its_lines(bank: Bank) -> None:
    bank.add_account("de89 3704 0044 0532 0130 00", currency="EUR")
    done, matches = bank.import_files(file("camt053-v2.xml"))
    assert [result(one) for one in done] == [(True, 4, 0, 0), (True, 1, 0, 0)]
    assert matches == 0
    rows = bank.rows()
    assert [row[5] for row in rows["bank_items"]] and len(rows["bank_items"]) == 5
    assert len(rows["bank_open_items"]) == 5
    assert sorted(row[5] for row in rows["bank_items"]) == [-9_500, 4_000, 12_000, 18_000, 25_000]


def test_importing_a_file_again_changes_nothing_and_says_so(bank: Bank) -> None:
    bank.add_account(IBAN, currency="EUR")
    first, _ = bank.import_files(file("camt053-v2.xml"))
    before = bank.rows()
    # The same content, though the bytes differ: another place in the file, another file.
    again, matches = bank.import_files(file("camt053-v2.xml").replace(b"<Stmt>", b"\n<Stmt>"))
    assert bank.rows() == before
    assert [one.is_new for one in again] == [False, False]
    assert [one.statement_id for one in again] == [one.statement_id for one in first]
    assert matches == 0


def test_a_statement_is_known_in_another_format(bank: Bank) -> None:
    bank.add_account(IBAN, NUMBER, currency="EUR")
    bank.import_files(file("mt940.sta"))
    before = bank.rows()
    in_xml = (
        file("camt053-v2.xml").decode().replace("12455.00", "12170.50").split("<Ntry>")[0]
        + "".join(
            f"<Ntry><Amt Ccy='EUR'>{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts>BOOK</Sts>"
            "<BookgDt><Dt>2026-03-02</Dt></BookgDt></Ntry>"
            for amount, side in (("250.00", "CRDT"), ("95.00", "DBIT"), ("15.50", "CRDT"))
        )
        + "</Stmt></BkToCstmrStmt></Document>"
    )
    assert not bank.import_one(in_xml.encode()).is_new
    assert bank.rows() == before


@pytest.mark.parametrize("bad", [
    csv_statement(day="2026-03-03", opening="1.00", closing="1.00", account="SOMEBODY-ELSES"),
    csv_statement(day="2026-03-03", opening="1.00", closing="1.00", currency="EUR"),
])  # fmt: skip
def test_a_bad_file_takes_the_good_ones_of_the_import_with_it(bank: Bank, bad: bytes) -> None:
    bank.add_account()
    before = bank.rows()
    good = csv_statement(day="2026-03-02", opening="1.00", closing="1.00")
    with pytest.raises(StatementInvalid) as raised:
        bank.import_files(good, bad)
    (error,) = raised.value.errors
    assert (error.field, error.code) in {("line 2", "unknown_account"), ("line 2", "currency")}
    assert bank.rows() == before


def test_an_opening_balance_that_does_not_go_on_is_imported_and_is_a_break(bank: Bank) -> None:
    bank.add_account()
    assert bank.import_one(csv_statement(day="2026-03-02", opening="10.00", closing="10.00")).is_new
    assert bank.status("2026-03-02").status == "reconciled"
    later = bank.import_one(csv_statement(day="2026-03-04", opening="12.50", closing="12.50"))
    assert result(later) == (True, 0, 0, 250)
    found = bank.status("2026-03-04")
    assert (found.status, found.difference_minor, found.gap_minor) == ("break", 250, 250)
    # The day before, nothing was missing yet; and the statement in between mends it.
    assert bank.status("2026-03-03").status == "reconciled"
    between = csv_statement(
        Line("2026-03-03", "2.50"), day="2026-03-03", opening="10.00", closing="12.50"
    )
    bank.import_one(between)
    found = bank.status("2026-03-04")
    assert (found.status, found.gap_minor, found.open_at_bank_minor) == ("pending", 0, 250)


def test_lines_of_statements_that_overlap_count_once(bank: Bank) -> None:
    bank.add_account()
    one, two, three = (
        Line(f"2026-03-0{n}", "5.00", bank_reference=f"B{n}", text="card") for n in (1, 2, 3)
    )
    bank.import_one(csv_statement(one, two, day="2026-03-02", opening="0.00", closing="10.00"))
    weekly = bank.import_one(
        csv_statement(one, two, three, day="2026-03-03", opening="0.00", closing="15.00")
    )
    assert result(weekly) == (True, 3, 2, 0)
    assert bank.status("2026-03-03").open_at_bank_minor == 1_500
    assert bank.status("2026-03-03").gap_minor == 0


def test_equal_lines_of_a_statement_that_goes_on_are_new_money(bank: Bank) -> None:
    bank.add_account()
    coffee = Line("2026-03-02", "-4.00", text="coffee")
    morning = csv_statement(coffee, day="2026-03-02", opening="10.00", closing="6.00", name="am")
    evening = csv_statement(coffee, day="2026-03-02", opening="6.00", closing="2.00", name="pm")
    assert result(bank.import_one(morning)) == (True, 1, 0, 0)
    assert result(bank.import_one(evening)) == (True, 1, 0, 0)
    assert bank.status("2026-03-02").open_at_bank_minor == -800
    # The morning's once more under another name does not go on: its line is known.
    again = csv_statement(coffee, day="2026-03-02", opening="10.00", closing="6.00", name="AM")
    assert bank.import_one(again).repeated_line_count == 1
    assert bank.status("2026-03-02").open_at_bank_minor == -800
    assert bank.status("2026-03-02").gap_minor == 0


def test_a_line_that_stands_twice_in_one_statement_is_two_lines(bank: Bank) -> None:
    bank.add_account()
    fee = Line("2026-03-02", "-1.00", bank_reference="B1")
    bank.import_one(csv_statement(fee, fee, day="2026-03-02", opening="2.00", closing="0.00"))
    assert bank.status("2026-03-02").open_at_bank_minor == -200
    bank.import_one(csv_statement(fee, fee, fee, day="2026-03-03", opening="2.00", closing="-1.00"))
    assert bank.status("2026-03-03").open_at_bank_minor == -300


def test_two_imports_at_the_same_time_import_once(bank: Bank) -> None:
    bank.add_account(IBAN, currency="EUR")
    found: list[list[Imported]] = []

    def run() -> None:
        worker = Bank(bank.books)  # each with connections of its own, as workers have
        found.append(worker.import_files(file("camt053-v2.xml"))[0])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.is_new for done in found for one in done) == [False] * 6 + [True] * 2
    assert len(bank.rows()["bank_items"]) == 5


def test_a_bank_account_needs_a_place_of_its_own(bank: Bank) -> None:
    bank.add_account(IBAN)
    for again in (
        {"ref": REF, "code": "1010"},
        {"ref": "OTHER", "code": "1000"},
        {"ref": "OTHER", "code": "4321"},
    ):
        with pytest.raises(BankAccountRefused):
            bank.add_account(**again)
    with pytest.raises(BankAccountRefused, match="identifiers"):
        bank.add_account(IBAN, ref="OTHER", code="1010")
    for bad in ({"ref": ""}, {"ref": "a b"}, {"code": "10"}, {"currency": "XXX"}):
        with pytest.raises(BankAccountRefused):
            bank.add_account(**({"ref": "OTHER", "code": "1010"} | bad))
    assert len(bank.rows()["bank_accounts"]) == 1
    bank.add_account(ref="OTHER", currency="EUR")


def test_a_suspended_tenant_imports_nothing(bank: Bank) -> None:
    bank.add_account()
    set_tenant_status(bank.books.database_url, bank.books.tenant_id, "suspended")
    with pytest.raises(TenantUnknown):
        bank.import_one(csv_statement(day="2026-03-02", opening="0.00", closing="0.00"))


def test_what_was_done_is_in_the_audit_record(bank: Bank) -> None:
    bank.add_account()
    bank.import_one(csv_statement(day="2026-03-02", opening="0.00", closing="0.00"))
    actions = bank.books.fetch(
        "SELECT action, actor, subject FROM audit_events WHERE tenant_id = %s ORDER BY event_number"
    )
    assert actions[-2:] == [
        ("bank_account.add", "clerk", REF),
        ("bank_statement.import", "clerk", "file"),
    ]
