"""Random calls of the kernel's Batch, good, refused and malformed, in any order.

It runs where only the sanitized extension is importable: nothing of the package but the kernel, and
of the tests only what needs no more. At the end the books must balance.
"""

import contextlib
from collections import Counter
from random import Random
from typing import Any, NamedTuple

from hpts import _posting
from hpts._posting import Batch, PostingError, array_of
from tests.fuzz.target import Target
from tests.kernel.entries import (
    CASH,
    CLEARING,
    CR,
    DR,
    FACTS,
    FEES,
    FIRST_ENTRY_ID,
    INCOME,
    INTEREST,
    POSTED_AT,
    PRINCIPAL,
    SUSPENSE,
    TENANT_ID,
    borrower_id,
    everything,
    loan_id,
    loan_row,
    new_batch,
)

INT64_MAX, INT64_MIN = 2**63 - 1, -(2**63)
ACCOUNTS = (CASH, PRINCIPAL, INTEREST, FEES, CLEARING, SUSPENSE, INCOME, 32_767, -32_768)
CURRENCIES = (b"USD", b"USD", b"USD", b"EUR", b"JPY")
LOANS = 6
MALFORMED = (
    None, True, 0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 1.5, "", "USD", b"", b"US", b"USDT",
    b"\0" * 15, b"\0" * 16, b"\xff" * 17, b"x" * 70_000, [], [None], [()], ({},), object,
)  # fmt: skip
REFUSED = (PostingError, TypeError, ValueError, OverflowError)
LINES_MANY = 33_000


class Call(NamedTuple):
    name: str
    arguments: tuple[Any, ...]
    facts: dict[str, Any]


def target(context: dict[str, Any]) -> Target:
    origin = str(_posting.__file__)
    if not origin.startswith(context["kernel"]):
        raise RuntimeError(f"the kernel under test is {origin}, not the sanitized one")
    return Target(draw, check)


def draw(random: Random) -> tuple[Call, ...]:
    calls = [Call("load_loans", ([_row(random, at) for at in range(random.randrange(LOANS))],), {})]
    for _ in range(random.choice((1, 2, 4, 10))):
        calls += _entry(random) if random.random() < 0.7 else [_call(random)]
    if random.random() < 0.001:
        calls += [Call("begin_entry", (1,), {})]
        calls += [Call("line", (CASH, DR, 1, b"USD"), {})] * LINES_MANY
    return tuple(calls)


def _amount(random: Random) -> int:
    match random.randrange(12):
        case 0:
            return INT64_MAX - random.randrange(3)
        case 1:
            return random.choice((0, -1, INT64_MIN, INT64_MIN + 1, INT64_MAX + 1, 2**62))
        case 2:
            return random.getrandbits(63)
        case _:
            return random.randrange(1, 1_000)


def _row(random: Random, number: int) -> Any:
    owed = [random.choice((0, random.randrange(10_000), INT64_MAX)) for _ in range(3)]
    day = random.choice((None, 9_000, 2**31 - 1))
    row = loan_row(number, *owed, random.choice(CURRENCIES), day)
    if random.random() < 0.05:
        at = random.randrange(len(row))
        return (*row[:at], random.choice(MALFORMED), *row[at + 1 :])
    return row


def _entry(random: Random) -> list[Call]:
    """An entry that balances, for the most part, and is ended, for the most part."""
    day = random.choice((9_000, 9_001, -(2**31), 2**31 - 1))
    calls = [Call("begin_entry", (day,), {})]
    if random.random() < 0.2:
        calls.append(_call(random, "open_loan"))
    currency = random.choice(CURRENCIES)
    for _ in range(random.choice((1, 1, 1, 2, 3, 20))):
        amount = _amount(random)
        other = amount if random.random() < 0.98 else _amount(random)
        sides = random.choice(((DR, CR),) * 9 + ((CR, DR),) * 9 + ((DR, DR), (DR, 7)))
        for side, one in zip(sides, (amount, other), strict=True):
            loan = random.choice((-1,) * 12 + (0, 0, 0, 1, 1, 2, LOANS - 1, LOANS, 2**31 - 1))
            layer = random.choice((83,) * 20 + (80, 69, 0, -128))
            outstanding = random.choice((-1, 0, 5, INT64_MAX))
            line = (random.choice(ACCOUNTS), side, one, currency, loan, layer, outstanding)
            calls.append(Call("line", line[: random.choice((4, 5, 7))], {}))
        if random.random() < 0.1:
            calls.append(_call(random))
    calls.append(_call(random, "end_entry" if random.random() < 0.9 else "drop_entry"))
    return calls


def _call(random: Random, name: str | None = None) -> Call:
    """A single call, once in a while with an argument that it cannot take."""
    ways: dict[str, tuple[Any, ...]] = {
        "load_loans": ([_row(random, random.randrange(2 * LOANS))],),
        "open_loan": (loan_id(random.randrange(2 * LOANS)), borrower_id(1), b"USD"),
        "find_loan": (loan_id(random.randrange(2 * LOANS)),),
        "loan_terms": (random.randrange(-2, 2 * LOANS),),
        "loan_components": (random.randrange(-2, 2 * LOANS),),
        "mark_accrued": (random.randrange(-1, LOANS), random.choice((9_000, 9_001, -(2**31)))),
        "allocate": (random.randrange(-1, LOANS), _amount(random)),
        "next_entry_id": (),
        "begin_entry": (9_000,),
        "line": (CASH, DR, _amount(random), b"USD"),
        "drop_entry": (),
        "end_entry": (),
        "take_lines": (),
        "take_entry_loans": (),
        "take_loans": (random.random() < 0.5,),
        "take_totals": (),
        "take_entries": () if random.random() < 0.05 else (1,),
        "array_of": (17, [random.choice((None, b"", b"x" * random.randrange(300)))]),
        "Batch": (TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES),
    }
    name = name or random.choice(tuple(ways))
    arguments, facts = ways[name], {}
    if name == "end_entry":
        facts = dict(FACTS)
        if random.random() < 0.1:
            facts["reply"] = b"x" * random.choice((0, 1, 5_000, 100_000))
        if random.random() < 0.05:
            facts[random.choice(tuple(facts))] = random.choice(MALFORMED)
        if random.random() < 0.1:
            facts["loan_id"] = facts["reverses_entry_id"] = loan_id(1)
    elif arguments and random.random() < 0.05:
        at = random.randrange(len(arguments))
        arguments = (*arguments[:at], random.choice(MALFORMED), *arguments[at + 1 :])
    return Call(name, arguments, facts)


def check(calls: tuple[Call, ...]) -> str:
    batch, refused = new_batch(), 0
    were_taken = False
    for call in calls:
        made: Any = {"array_of": array_of, "Batch": Batch}.get(call.name)
        try:
            (made or getattr(batch, call.name))(*call.arguments, **call.facts)
            were_taken = were_taken or call.name == "take_entries"
        except REFUSED:
            refused += 1
    with contextlib.suppress(PostingError):
        batch.drop_entry()
    if not were_taken:
        _check_books(batch)
    return "some refused" if refused else "all taken"


def _check_books(batch: Batch) -> None:
    found = everything(batch)
    entries, lines = found["size"]
    assert len(found["entries"]) == len(found["hashes"]) == entries
    assert len(found["lines"]) == lines
    sums: Counter[tuple[Any, ...]] = Counter()
    for entry, _, _, direction, layer, currency, amount, _ in found["lines"]:
        assert 0 < amount <= INT64_MAX
        sums[entry, layer, currency] += amount if direction == b"D" else -amount
    assert not any(sums.values()), "an entry does not balance"
    for row in (*found["opened"], *found["changed"]):
        assert all(0 <= component <= INT64_MAX for component in row[3:6])
    for *_, debit, credit in found["totals"]:
        assert 0 <= debit <= INT64_MAX and 0 <= credit <= INT64_MAX
