"""Text of a file that does not say how it is encoded, and the lines of it."""

import codecs
import re

LINE_END = re.compile(r"\r\n|\r|\n")


def decode(content: bytes) -> str:
    """UTF-8, or as banks wrote before: Windows-1252, and Latin-1 where it has no character."""
    bare = content.removeprefix(codecs.BOM_UTF8)
    for encoding in ("utf-8", "cp1252"):
        try:
            return bare.decode(encoding)
        except UnicodeDecodeError:
            continue
    return bare.decode("latin-1")


def lines_of(text: str) -> list[str]:
    """As an editor counts them: str.splitlines() also ends one at characters that stand in it."""
    lines = LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]
