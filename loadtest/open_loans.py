"""Opens loans of 1,000,000.00 USD for a load test and prints "loan_id borrower_id" lines.

Usage: open_loans.py BASE_URL TOKEN COUNT > loans.txt
"""

import asyncio
import datetime
import json
import sys
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

CONNECTIONS = 128
ANSWER_SECONDS_MAX = 30


def open_loans(base_url: str, token: str, count: int) -> None:
    """Open `count` loans over keep-alive connections. Raises RuntimeError when one is refused."""
    asyncio.run(_open_all(base_url, token, iter(range(count)), min(CONNECTIONS, count)))


async def _open_all(base_url: str, token: str, places: Iterator[int], connections: int) -> None:
    url = urlsplit(base_url)
    if url.scheme != "http" or url.hostname is None:
        raise RuntimeError("the base URL must start with http://")
    head = (
        f"POST /v1/disbursements HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Authorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\n"
    )
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_open_over_one(url.hostname, url.port or 80, head, places))


async def _open_over_one(host: str, port: int, head: str, places: Iterator[int]) -> None:
    """Open loans over one connection as long as there are places left to take."""
    reader, writer = await asyncio.open_connection(host, port)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        for _ in places:  # shared by all connections
            loan_id, borrower_id = str(uuid.uuid4()), str(uuid.uuid4())
            body = _body(loan_id, borrower_id, today)
            writer.write(
                f"{head}Idempotency-Key: disbursement:{loan_id}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                status, answer = await _read_answer(reader)
            if status != 201:
                raise RuntimeError(f"a disbursement was answered {status}: {answer[:300]!r}")
            print(loan_id, borrower_id)
    finally:
        writer.close()


def _body(loan_id: str, borrower_id: str, today: str) -> str:
    return json.dumps(
        {
            "loan_id": loan_id,
            "borrower_id": borrower_id,
            "amount_minor": "100000000",
            "currency": "USD",
            "effective_at": today,
            "method": "ach",
        }
    )


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """(status, body) of an answer that declares its length."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, _, after = head.partition(b"content-length:")
    return int(head.split(None, 2)[1]), await reader.readexactly(int(after.split(None, 1)[0]))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    open_loans(sys.argv[1], sys.argv[2], int(sys.argv[3]))
