"""Charts, trial balances, loans and statements as tables.

The first column of a table that has more than lines says what a row is: `opening`, `line`,
`closing` or `total`. A closing row or a total that is missing shows that a file was cut off.
"""

from collections.abc import AsyncGenerator

from msgspec.structs import astuple

from hpts.accounting.account_statement import (
    AccountStatement,
    AccountStatementLine,
    AccountStatementQuery,
)
from hpts.accounting.chart import AccountList, ChartAccount
from hpts.accounting.loan_statement import (
    Loan,
    LoanComponents,
    LoanStatement,
    LoanStatementLine,
    LoanStatementQuery,
)
from hpts.accounting.portions import LAYERS
from hpts.accounting.tables import Cell, Lines, Row, Table, edge_row, once
from hpts.accounting.trial_balance import TrialBalance, TrialBalanceLine
from hpts.domain.limits import EXPORT_ENTRIES_AT_ONCE

OPENING, LINE, CLOSING, TOTAL = "opening", "line", "closing", "total"
TRIAL_BALANCE_COLUMNS = ("row", "as_of_date", "layer", *TrialBalanceLine.__struct_fields__)
ACCOUNT_COLUMNS = (
    "row",
    "account_code",
    "currency",
    "layer",
    *AccountStatementLine.__struct_fields__,
)
LOAN_COLUMNS = ("row", "loan_id", "currency", *LoanStatementLine.__struct_fields__)


def chart_table(chart: AccountList) -> Table:
    """An account a row."""
    rows: list[Row] = [astuple(account) for account in chart.items]
    return Table("accounts", ChartAccount.__struct_fields__, once(rows))


def trial_balance_table(found: TrialBalance) -> Table:
    """An account and currency a row, then a total for each currency."""
    columns = TRIAL_BALANCE_COLUMNS
    of_all = {"as_of_date": found.as_of_date, "layer": found.layer}
    rows: list[Row] = [(LINE, *of_all.values(), *astuple(line)) for line in found.accounts]
    for total in found.totals:
        amounts = dict(zip(total.__struct_fields__, astuple(total), strict=True))
        rows.append(edge_row(columns, row=TOTAL, **of_all, **amounts))
    return Table(f"trial-balance-{found.as_of_date}", columns, once(rows))


def loan_table(loan: Loan) -> Table:
    """One row."""
    return Table(f"loan-{loan.loan_id}", Loan.__struct_fields__, once([astuple(loan)]))


def account_table(statement: AccountStatement, query: AccountStatementQuery) -> Table:
    """The opening balance, a line a row, the closing balance."""
    name = f"account-{query.key.account_code:04d}-{query.key.currency}"
    return Table(name, ACCOUNT_COLUMNS, _account_rows(statement, query))


async def _account_rows(
    statement: AccountStatement, query: AccountStatementQuery
) -> AsyncGenerator[list[Lines], None]:
    key = query.key
    of_all = (f"{key.account_code:04d}", key.currency, LAYERS[key.layer])

    def edge(row: str, day: str | None, balance_minor: int) -> Row:
        return edge_row(
            ACCOUNT_COLUMNS,
            row=row,
            **dict(zip(ACCOUNT_COLUMNS[1:4], of_all, strict=True)),
            **_dated(day),
            balance_minor=str(balance_minor),
        )

    balance = statement.start.balance_minor
    yield [Lines(edge(OPENING, query.from_date, balance))]
    async for portion in statement.portions(statement.start, EXPORT_ENTRIES_AT_ONCE):
        balance = portion.reached.balance_minor
        if portion.lines:
            yield [
                Lines((LINE, *of_all, *pattern), fillings) for pattern, fillings in portion.lines
            ]
    yield [Lines(edge(CLOSING, query.to_date, balance))]


def loan_statement_table(statement: LoanStatement, query: LoanStatementQuery) -> Table:
    """What was owed before, an entry a row, what is owed after."""
    name = f"loan-statement-{query.loan_id}"
    return Table(name, LOAN_COLUMNS, _loan_rows(statement, query))


async def _loan_rows(
    statement: LoanStatement, query: LoanStatementQuery
) -> AsyncGenerator[list[Lines], None]:
    of_all = (query.loan_id, statement.terms.currency)

    def edge(row: str, day: str | None, owed: LoanComponents) -> Row:
        return edge_row(
            LOAN_COLUMNS,
            row=row,
            **dict(zip(LOAN_COLUMNS[1:3], of_all, strict=True)),
            **_dated(day),
            **dict(zip(owed.__struct_fields__, astuple(owed), strict=True)),
        )

    reached = statement.start
    is_first = True
    while True:
        page = await statement.read_page(EXPORT_ENTRIES_AT_ONCE, reached)
        if is_first:
            yield [Lines(edge(OPENING, query.from_date, page.opening))]
            is_first = False
        yield [Lines((LINE, *of_all, *astuple(line))) for line in page.lines]
        if page.reached is None:
            yield [Lines(edge(CLOSING, query.to_date, page.closing))]
            return
        reached = page.reached


def _dated(day: str | None) -> dict[str, Cell]:
    return {} if day is None else {"effective_at": day}
