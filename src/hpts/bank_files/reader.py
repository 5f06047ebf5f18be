"""Reads a statement file in a process of its own, which may take so much time and memory, no more.

A file is somebody else's and so are the libraries: whatever it makes them do, a worker goes on, and
the answer is the statements or what is wrong. Blocks; call it in a thread.
"""

import contextlib
import resource
import subprocess
import sys

import msgspec

from hpts.bank_files.formats import read
from hpts.domain.bank_statements import Statement, StatementInvalid, invalid
from hpts.domain.limits import STATEMENT_READING_BYTES_MAX, STATEMENT_READING_SECONDS_MAX
from hpts.domain.rejections import FieldError

MEBIBYTE = 1024 * 1024
TOO_MUCH = "takes too long or too much memory to read: split it"


class Reading(msgspec.Struct, frozen=True):
    """What the process answers: statements, or errors."""

    format: str = ""
    statements: tuple[Statement, ...] = ()
    errors: tuple[FieldError, ...] = ()


def read_file(content: bytes, file_format: str | None) -> Reading:
    """The file's format and statements. Raises StatementInvalid."""
    seconds = STATEMENT_READING_SECONDS_MAX + len(content) // MEBIBYTE
    memory = STATEMENT_READING_BYTES_MAX + 32 * len(content)
    command = [sys.executable, "-m", __name__, file_format or "", str(seconds), str(memory)]
    try:
        ran = subprocess.run(
            command, input=content, capture_output=True, timeout=3 * seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise invalid("the file", TOO_MUCH, "too_much") from None
    if ran.returncode:
        raise invalid("the file", TOO_MUCH, "too_much")
    found = msgspec.json.decode(ran.stdout, type=Reading)
    if found.errors:
        raise StatementInvalid(*found.errors)
    return found


def main(file_format: str, seconds: int, memory: int) -> None:
    """The process: a file on standard input, a Reading on standard output."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    content = sys.stdin.buffer.read()
    with contextlib.redirect_stdout(sys.stderr):  # what a library prints is no answer
        try:
            name, statements = read(content, file_format or None)
            answer = Reading(name, tuple(statements))
        except StatementInvalid as error:
            answer = Reading(errors=error.errors)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
