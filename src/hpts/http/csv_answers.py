"""What is offered as JSON or as CSV, in the form that was chosen. A CSV is sent as it is read."""

from collections.abc import AsyncGenerator

import msgspec

from hpts.accounting.tables import CsvForm, Lines, Table
from hpts.http.messages import NO_STORE, Response, StreamedResponse, money_response

CSV = ("content-type", "text/csv; charset=utf-8; header=present")
VARY = ("vary", "accept")


def json_form(body: msgspec.Struct) -> Response:
    """The JSON of what is offered as CSV too."""
    response = money_response(msgspec.json.encode(body))
    response.headers.append(VARY)
    return response


async def whole_csv(table: Table) -> Response:
    """A small table in one piece."""
    form = CsvForm(table.columns)
    chunks = [form.head()]
    async for portion in table.portions:
        chunks.append(form.body(portion))
    return Response(200, b"".join(chunks), _headers(table))


async def streamed_csv(table: Table) -> StreamedResponse:
    """A table of any length. Its first portion is read before this returns, so that what fails at
    once is a problem and no broken stream."""
    first: list[Lines] = await anext(table.portions, [])
    return StreamedResponse(200, b"", _headers(table), chunks=_chunks(table, first))


async def _chunks(table: Table, first: list[Lines]) -> AsyncGenerator[bytes, None]:
    form = CsvForm(table.columns)
    yield form.head() + form.body(first)
    async for portion in table.portions:
        yield form.body(portion)


def _headers(table: Table) -> list[tuple[str, str]]:
    attachment = f'attachment; filename="{table.name}.csv"'
    return [CSV, NO_STORE, VARY, ("content-disposition", attachment)]
