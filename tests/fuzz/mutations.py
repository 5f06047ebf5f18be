"""Ways to spoil bytes, strings and JSON, every one drawn from a `random.Random`.

JSON is written here by hand, from `Members` instead of dicts, so that a name can stand twice.
"""
# ruff: noqa: RUF001  (characters that look alike are among what must be refused)

import json
from random import Random
from typing import Any

DEPTH_MAX = 3_000
"""Deeper than any decoder goes: about Python's limit on recursion, three times."""
NASTY_BYTES = (
    b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\x80", b"\xc3", b"\r\n", b"\n", b"\x1b[31m", b'"', b"\\", b"\\u0000",
    b"\\ud800", b"\\udfff\\ud800", b"\\u", b"{", b"}", b"[", b"]", b":", b",", b"//", b"/*", b"'",
    b"NaN", b"-Infinity", b"null", b"true", b"1e999", b"-0", b"00", b"0x1", b"\x7f",
    b"\xe2\x80\xa8",
)  # fmt: skip
STRANGE = (
    None, True, False, 0, 1, -1, 1.0, -0.0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1,
    2**64, 10**400, 1e308, 5e-324, "", " ", "\0", "\n", "0", "00", "-0", "-1", "+1", "1.0", "1e3",
    "0x1", "1_0", "1\n", "١", "１２", "²", "9" * 19, "1" + "0" * 19, "9" * 5_000,
    "9223372036854775807", "9223372036854775808", "USD", "usd", "USD\n", "ＵＳＤ", "ÄÖÜ", "XXX",
    "2024-02-29", "2023-02-29", "0001-01-01", "9999-12-31", "10000-01-01", "2024-01-01T00:00:00Z",
    "2024-W01-1", "２０２４-01-01", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
    "0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B", "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b",
    "{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}", "x" * 255, "x" * 256, "x" * 501, "😀" * 256,
    "\ud800", "a\udfffb", "\u202eevil", "\u2028", "\x7f", "ﬁ", "' OR 1=1; --", "%00", "../../etc",
    "<script>alert(1)</script>", "${jndi:ldap://127.0.0.1/a}", [], {}, [[]], [{}], ["ach"],
    {"a": {"b": []}}, {"__proto__": 1}, {"": ""},
)  # fmt: skip


class Members(list[tuple[str, Any]]):
    """A JSON object as its members in order, in which a name may stand twice."""


def as_members(value: Any) -> Any:
    """Decoded JSON with Members for its objects."""
    if isinstance(value, dict):
        return Members((name, as_members(one)) for name, one in value.items())
    if isinstance(value, list):
        return [as_members(one) for one in value]
    return value


def as_value(spoilt: Any) -> Any:
    """What a decoder makes of it: dicts, of a name that stands twice the last member."""
    if isinstance(spoilt, Members):
        return {name: as_value(one) for name, one in spoilt}
    if isinstance(spoilt, list):
        return [as_value(one) for one in spoilt]
    return spoilt


def emit(random: Random, value: Any) -> bytes:
    """JSON, written one of several ways. Lone surrogates stay escapes or become invalid UTF-8."""
    is_ascii = random.random() < 0.5
    space = random.choice(("", "", "", " ", "\n\t "))
    return _text_of(value, is_ascii, space).encode("utf-8", "surrogatepass")


def _text_of(value: Any, is_ascii: bool, space: str) -> str:
    comma = f"{space},{space}"
    if isinstance(value, Members):
        members = (
            f"{json.dumps(name, ensure_ascii=is_ascii)}{space}:{_text_of(one, is_ascii, space)}"
            for name, one in value
        )
        return "{" + comma.join(members) + "}"
    if isinstance(value, list):
        return "[" + comma.join(_text_of(one, is_ascii, space) for one in value) + "]"
    return json.dumps(value, ensure_ascii=is_ascii)


def spoil_json(random: Random, value: Any) -> Any:
    """A changed copy of what `as_members` made: one to three changes, each anywhere in it."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = _spoil_one(random, value)
    return value


def _spoil_one(random: Random, value: Any) -> Any:
    if isinstance(value, Members) and value:
        at = random.randrange(len(value))
        name, one = value[at]
        if isinstance(one, list) and random.random() < 0.7:  # deeper
            return Members([*value[:at], (name, _spoil_one(random, one)), *value[at + 1 :]])
        return Members(_spoil_member(random, list(value), at))
    if isinstance(value, list) and value:
        at = random.randrange(len(value))
        match random.randrange(5):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, value[at]]
            case 2:
                return value[::-1]
            case _:
                return [*value[:at], _spoil_one(random, value[at]), *value[at + 1 :]]
    return spoil_leaf(random, value)


def _spoil_member(random: Random, members: list[tuple[str, Any]], at: int) -> list[Any]:
    name, one = members[at]
    match random.randrange(8):
        case 0:
            del members[at]
        case 1:
            members.insert(random.randrange(len(members) + 1), (name, spoil_leaf(random, one)))
        case 2:
            random.shuffle(members)
        case 3:
            members[at] = (spoil_text(random, name), one)
        case 4:
            members.append((random.choice(("x", "", "tenant_id", "metadata", "\0")), one))
        case _:
            members[at] = (name, spoil_leaf(random, one))
    return members


def spoil_leaf(random: Random, value: Any) -> Any:
    """Another value in its place: near it, strange, or nested."""
    match random.randrange(8):
        case 0 | 1 | 2 if isinstance(value, str):
            return spoil_text(random, value)
        case 0 | 1 | 2 if isinstance(value, int):
            return random.choice((value + 1, value - 1, -value, str(value), float(value % 2**64)))
        case 3:
            return nested(random, value)
        case 4:
            return random.choice(([value], Members([("a", value)]), [value, value]))
        case _:
            return as_members(random.choice(STRANGE))


def nested(random: Random, value: Any) -> Any:
    """The value inside of arrays and objects; not so many that they could not be written here, each
    level two calls deep. `arbitrary_bytes` nests as deep as you like."""
    for _ in range(random.choice((1, 3, 20, 60))):
        value = [value] if random.random() < 0.5 else Members([("a", value)])
    return value


def spoil_text(random: Random, text: str) -> str:
    """A string near this one."""
    at = random.randrange(len(text) + 1)
    match random.randrange(8):
        case 0:
            return text[:at] + text[at + 1 :]
        case 1:
            return (
                text[:at] + chr(random.choice((0, 10, 32, 48, 65, 97, 0xE9, 0x1F600))) + text[at:]
            )
        case 2:
            return text[:at] + random.choice("0123456789abcdefABCDEF-_=+/ ") + text[at + 1 :]
        case 3:
            return text[:at]
        case 4:
            return text + text[at:]
        case 5:
            return text.swapcase()
        case 6:
            return f" {text}" if random.random() < 0.5 else f"{text}\n"
        case _:
            return str(random.choice([one for one in STRANGE if isinstance(one, str)]))


def spoil_bytes(random: Random, data: bytes) -> bytes:
    """Bytes near these: one to four changes."""
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(data) + 1)
        until = min(len(data), at + random.choice((1, 1, 2, 8, 64)))
        match random.randrange(8):
            case 0:
                data = data[:at] + data[until:]
            case 1:
                data = data[:at] + random.choice(NASTY_BYTES) + data[at:]
            case 2:
                data = data[:at] + random.choice(NASTY_BYTES) + data[until:]
            case 3:
                data = data[:at] + random.randbytes(random.choice((1, 1, 4, 16))) + data[at:]
            case 4:
                data = data[:at]
            case 5:
                data = data[:until] + data[at:]
            case 6 if data:
                at = min(at, len(data) - 1)
                data = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
            case _:
                data = random.choice(NASTY_BYTES) + data
    return data


def arbitrary_bytes(random: Random) -> bytes:
    """Bytes that were never anything: noise, brackets, digits, a byte many times, other codings."""
    size = random.choice((0, 1, 2, 8, 40, 300))
    match random.randrange(6):
        case 0:
            return random.randbytes(size)
        case 1:
            return bytes(random.choices(b'[]{}",:0123456789eE+-.ntfalsu\\ \n', k=size))
        case 2:
            return random.choice((b"[", b'{"a":', b"[[", b'[{"a":')) * random.randrange(DEPTH_MAX)
        case 3:
            return random.choice((b"9", b"-9", b"0.", b"1e9", b'"\\u0000', b" ")) * size
        case 4:
            return json.dumps(random.choice(STRANGE)).encode(random.choice(("utf-16", "utf-32")))
        case _:
            return b"".join(random.choices(NASTY_BYTES, k=size % 41))
