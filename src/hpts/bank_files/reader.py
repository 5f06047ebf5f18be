"""Reads a statement file in a process of its own, which may take so much time and memory, no more.

A file is somebody else's and so are the libraries: whatever it makes them do, a worker goes on, and
the answer is the statements or what is wrong. Blocks; call it in a thread.
"""

import contextlib
import logging
import resource
import signal
import subprocess
import sys

import msgspec

from hpts.bank_files.formats import read
from hpts.domain.bank_statements import Statement, StatementInvalid, invalid
from hpts.domain.limits import STATEMENT_READING_BYTES_MAX, STATEMENT_READING_SECONDS_MAX
from hpts.domain.rejections import FieldError

MEBIBYTE = 1024 * 1024
TOO_MUCH = "takes too long or too much memory to read: split it"
UNREADABLE = "could not be read: get it from the bank once more, or in another format"
OUT_OF_MEMORY = 3
"""What the process exits with when it may have no more memory."""
TOO_MUCH_ENDS = (OUT_OF_MEMORY, -signal.SIGXCPU, -signal.SIGKILL)
LOGGED_MAX = 300

logger = logging.getLogger("hpts")


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
    if ran.returncode in TOO_MUCH_ENDS:
        raise invalid("the file", TOO_MUCH, "too_much")
    try:
        if ran.returncode:
            raise ValueError(f"exit status {ran.returncode}")
        found = msgspec.json.decode(ran.stdout, type=Reading)
    except ValueError as error:
        said = ran.stderr.decode("utf-8", "replace").splitlines() or [""]
        logger.error("reading a statement file failed: %s: %s", error, said[-1][:LOGGED_MAX])
        raise invalid("the file", UNREADABLE, "unreadable") from None
    if found.errors:
        raise StatementInvalid(*found.errors)
    return found


def main(file_format: str, seconds: int, memory: int) -> None:
    """The process: a file on standard input, a Reading on standard output."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        sys.stdout.buffer.write(_read(sys.stdin.buffer.read(), file_format))
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)


def _read(content: bytes, file_format: str) -> bytes:
    with contextlib.redirect_stdout(sys.stderr):  # what a library prints is no answer
        try:
            name, statements = read(content, file_format or None)
            answer = Reading(name, tuple(statements))
        except StatementInvalid as error:
            answer = Reading(errors=error.errors)
    return msgspec.json.encode(answer)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
