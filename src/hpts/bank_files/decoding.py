"""Text of a file that does not say how it is encoded."""

import codecs


def decode(content: bytes) -> str:
    """UTF-8, or Latin-1 as banks used before: it has a character for every byte."""
    bare = content.removeprefix(codecs.BOM_UTF8)
    try:
        return bare.decode()
    except UnicodeDecodeError:
        return bare.decode("latin-1")
