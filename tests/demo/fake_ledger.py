"""A ledger in memory with the demo client's two methods, written from the contract's rules.

Books whole entries with lines and answers by scanning them: slow, plain, and unlike the oracle.
"""

import json
from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

NORMAL_CREDIT = {"1900", "2000", "2100", "3000", "4000", "4100", "4200", "9100"}
OWED = (("1300", "fees_minor"), ("1200", "interest_minor"), ("1100", "principal_minor"))


class FakeLedger:
    """`tamper(path, reply)` may change a reply before it is encoded."""

    def __init__(self, tamper: Callable[[str, dict], None] = lambda path, reply: None) -> None:
        self.entries: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, dict]] = []
        self.loans: dict[str, dict] = {}
        self._tamper = tamper

    async def post(self, path: str, *, key: str, body: object) -> bytes:
        request = msgspec.to_builtins(body)
        self.requests.append((path, key, request))
        entry_id = f"entry-{len(self.entries)}"
        reply = {
            "/disbursements": self._disburse,
            "/payments": self._pay,
            "/accruals/batch": self._accrue,
            "/reversals": self._reverse,
        }[path](request, entry_id)
        reply["journal_entry_id"] = entry_id
        return self._encode(path, reply)

    async def get(self, path: str) -> bytes:
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        match url.path.strip("/").split("/"):
            case ["loans", loan_id, "balance"]:
                reply = self._loan(loan_id, query)
            case ["loans", loan_id, "journal-entries"]:
                reply = self._journal(loan_id, query)
            case ["accounts", code, "balance"]:
                reply = self._account(code, query)
            case _:
                reply = {
                    "as_of_date": "2026-01-01",
                    "ledger_integrity": {"status": "ok", "mismatched_account_count": 0},
                    "bank_reconciliation": [],
                    "portfolio_rollup": {"status": "ok"},
                }
        return self._encode(path, reply)

    def _encode(self, path: str, reply: dict) -> bytes:
        # A copy, so that tampering with an answer never changes the books.
        copied = json.loads(json.dumps(reply))
        self._tamper(path, copied)
        return json.dumps(copied).encode()

    def _book(self, entry_id: str, event_type: str, day: str, currency: str, rows: list) -> None:
        lines = [
            {
                "account_code": code,
                "direction": direction,
                "amount_minor": str(amount),
                "currency": currency,
                **({"loan_id": loan_id} if loan_id else {}),
            }
            for code, direction, amount, loan_id in rows
            if amount
        ]
        self.entries.append(
            {
                "journal_entry_id": entry_id,
                "event_type": event_type,
                "effective_at": day,
                "lines": lines,
            }
        )

    def _disburse(self, request: dict, entry_id: str) -> dict:
        loan, amount = request["loan_id"], int(request["amount_minor"])
        self.loans.setdefault(loan, request)
        rows = [("1100", "DR", amount, loan), ("2000", "CR", amount, loan)]
        day, currency = request["effective_at"], request["currency"]
        self._book(entry_id, "disbursement", day, currency, rows)
        return {}

    def _pay(self, request: dict, entry_id: str) -> dict:
        loan, left = request["loan_id"], int(request["amount_minor"])
        known = self.loans[loan]
        assert request["currency"] == known["currency"]
        assert request["borrower_id"] == known["borrower_id"]
        rows, allocation = [("1000", "DR", left, loan)], {}
        for code, name in OWED:
            part = min(left, self._sum(code, loan=loan))
            rows.append((code, "CR", part, loan))
            allocation[name] = str(part)
            left -= part
        rows.append(("2100", "CR", left, loan))
        allocation["suspense_minor"] = str(left)
        self._book(entry_id, "payment_received", request["effective_at"], request["currency"], rows)
        return {"allocation": allocation}

    def _accrue(self, request: dict, entry_id: str) -> dict:
        shares = request["loans"]
        currencies = {self.loans[share["loan_id"]]["currency"] for share in shares}
        assert len(currencies) == 1
        for share in shares:
            owed = self._sum("1100", loan=share["loan_id"])
            assert int(share["outstanding_principal_minor"]) == owed > 0
        rows = [("1200", "DR", int(s["interest_minor"]), s["loan_id"]) for s in shares]
        total = sum(int(share["interest_minor"]) for share in shares)
        assert total > 0
        rows.append(("4000", "CR", total, None))
        self._book(entry_id, "accrual", request["accrual_date"], currencies.pop(), rows)
        return {"loan_count": len(shares), "total_accrued_minor": str(total)}

    def _reverse(self, request: dict, entry_id: str) -> dict:
        original = next(
            e for e in self.entries if e["journal_entry_id"] == request["reverses_entry_id"]
        )
        flipped = {"DR": "CR", "CR": "DR"}
        rows = [
            (
                li["account_code"],
                flipped[li["direction"]],
                int(li["amount_minor"]),
                li.get("loan_id"),
            )
            for li in original["lines"]
        ]
        currency = original["lines"][0]["currency"]
        self._book(entry_id, "reversal", request["effective_at"], currency, rows)
        return {"reverses_entry_id": request["reverses_entry_id"]}

    def _sides(self, code: str, **wanted: str | None) -> tuple[int, int]:
        """(debits, credits) of an account, of one loan or currency where given, until a day."""
        until = wanted.get("until") or date.max.isoformat()
        sides = {"DR": 0, "CR": 0}
        for entry in self.entries:
            if entry["effective_at"] > until:
                continue
            for line in entry["lines"]:
                if line["account_code"] != code:
                    continue
                if wanted.get("loan") not in (None, line.get("loan_id")):
                    continue
                if wanted.get("currency") in (None, line["currency"]):
                    sides[line["direction"]] += int(line["amount_minor"])
        return sides["DR"], sides["CR"]

    def _sum(self, code: str, *, loan: str, until: str | None = None) -> int:
        debits, credits = self._sides(code, loan=loan, until=until)
        return debits - credits

    def _loan(self, loan_id: str, query: dict) -> dict:
        until = query.get("as_of_date")
        principal, interest, fees = (
            self._sum(code, loan=loan_id, until=until) for code in ("1100", "1200", "1300")
        )
        return {
            "currency": self.loans[loan_id]["currency"],
            "principal_outstanding_minor": str(principal),
            "interest_receivable_minor": str(interest),
            "fees_receivable_minor": str(fees),
            "total_exposure_minor": str(principal + interest + fees),
        }

    def _account(self, code: str, query: dict) -> dict:
        until, currency = query.get("as_of_date"), query["currency"]
        debits, credits = self._sides(code, currency=currency, until=until)
        excess = credits - debits if code in NORMAL_CREDIT else debits - credits
        return {
            "dr_balance_minor": str(debits),
            "cr_balance_minor": str(credits),
            "normal_balance_minor": str(excess),
        }

    def _journal(self, loan_id: str, query: dict) -> dict:
        own = [
            entry
            for entry in reversed(self.entries)
            if any(line.get("loan_id") == loan_id for line in entry["lines"])
        ]
        start, size = int(query.get("page_token", "0")), int(query["page_size"])
        page: dict[str, Any] = {"items": own[start : start + size]}
        if start + size < len(own):
            page["next_page_token"] = str(start + size)
        return page
