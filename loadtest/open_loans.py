"""Opens loans of 1,000,000.00 USD for a load test and prints "loan_id borrower_id" lines.

Usage: open_loans.py BASE_URL TOKEN COUNT > loans.txt
"""

import asyncio
import datetime
import sys
import uuid

import httpx

CONNECTIONS = 32


async def open_loans(base_url: str, token: str, count: int) -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    places = asyncio.Semaphore(CONNECTIONS)
    limits = httpx.Limits(max_connections=CONNECTIONS)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, limits=limits) as client:

        async def open_loan() -> None:
            loan_id, borrower_id = str(uuid.uuid4()), str(uuid.uuid4())
            body = {
                "loan_id": loan_id,
                "borrower_id": borrower_id,
                "amount_minor": "100000000",
                "currency": "USD",
                "effective_at": today,
                "method": "ach",
            }
            async with places:
                answer = await client.post(
                    "/v1/disbursements",
                    json=body,
                    headers={"Idempotency-Key": f"disbursement:{loan_id}"},
                )
            answer.raise_for_status()
            print(loan_id, borrower_id)

        await asyncio.gather(*(open_loan() for _ in range(count)))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(open_loans(sys.argv[1], sys.argv[2], int(sys.argv[3])))
