"""Which format a file is in, by what it begins with, and who reads it."""

import importlib
import re
from collections.abc import Callable

from hpts.domain.bank_statements import Statement, StatementInvalid, invalid

READERS = {
    "camt053": ("hpts.bank_files.camt053", "read_camt053"),
    "mt940": ("hpts.bank_files.mt940", "read_mt940"),
    "bai2": ("hpts.bank_files.bai2", "read_bai2"),
    "ofx": ("hpts.bank_files.ofx", "read_ofx"),
    "csv": ("hpts.bank_files.csv_file", "read_csv"),
}
SIGNS = (
    ("ofx", re.compile(rb"\A\s*(OFXHEADER\s*:|(<\?[^>]*\?>\s*)*<OFX>)")),
    ("bai2", re.compile(rb"\A\s*01,")),
    ("csv", re.compile(rb'\A\s*"?record"?,')),
    ("mt940", re.compile(rb"(\A|\n):20:")),
    ("camt053", re.compile(rb"\A\s*<|\A\xff\xfe|\A\xfe\xff")),
)
LOOKED_AT_BYTES = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def recognize(content: bytes) -> str:
    """The format's name. Raises StatementInvalid where it is none that is known."""
    beginning = content[:LOOKED_AT_BYTES].removeprefix(BYTE_ORDER_MARK)
    for name, sign in SIGNS:
        if sign.search(beginning):
            return name
    raise invalid("line 1", f"is in none of the formats {', '.join(READERS)}", "unknown_format")


def read(content: bytes, file_format: str | None) -> tuple[str, list[Statement]]:
    """(format, statements) of a file. Raises StatementInvalid for whatever is wrong with it."""
    name = recognize(content) if file_format is None else file_format
    module, function = READERS[name]
    reader: Callable[[bytes], list[Statement]] = getattr(importlib.import_module(module), function)
    try:
        return name, reader(content)
    except StatementInvalid:
        raise
    except (ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise invalid("the file", f"cannot be read as {name}: {str(error)[:200]}") from error
