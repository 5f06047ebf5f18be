"""A file is read in another process, which hands back statements or errors and cannot take a worker
along, whatever it is made to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from hpts.bank_files import reader
from hpts.bank_files.formats import read
from hpts.bank_files.reader import Reading, read_file
from hpts.domain.bank_statements import StatementInvalid

from .banking import FILES


def test_the_other_process_reads_what_this_one_would() -> None:
    content = (FILES / "camt053-v2.xml").read_bytes()
    name, statements = read(content, None)
    assert read_file(content, None) == Reading(name, tuple(statements))


def test_what_is_wrong_comes_back_with_its_place() -> None:
    with pytest.raises(StatementInvalid) as raised:
        read_file((FILES / "camt053-v2.xml").read_bytes()[:900], "camt053")
    assert raised.value.errors[0].field.startswith("line ")


TOO_MUCH = (
    "while True: pass",
    "held = [bytes(2**24) for _ in range(2**20)]",
    "os.kill(os.getpid(), 9)",
    "os.kill(os.getpid(), signal.SIGXCPU)",
    "raise MemoryError",
)
CRASHES = (
    "os.kill(os.getpid(), signal.SIGSEGV)",
    "os.abort()",
    "os._exit(0)",
    "os._exit(7)",
    "os.write(1, b'no answer'); os._exit(0)",
)


def harmed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, harm: str) -> str:
    """The refusal's code, where a file makes a library do so."""
    program = tmp_path / "harm.py"
    program.write_text(
        "import os, signal, sys\nfrom hpts.bank_files import reader\n"
        f"def read(content, file_format):\n    {harm}\n"
        "reader.read = read\nreader.main(sys.argv[-3], int(sys.argv[-2]), int(sys.argv[-1]))\n"
    )
    real = subprocess.run

    def run(command: list[str], **options: object) -> object:
        return real([sys.executable, str(program), *command[-3:]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(reader.subprocess, "run", run)
    monkeypatch.setattr(reader, "STATEMENT_READING_SECONDS_MAX", 1)
    with pytest.raises(StatementInvalid) as raised:
        read_file(b"x", "csv")
    (error,) = raised.value.errors
    assert ("split it" in error.message) == (error.code == "too_much")
    return error.code


@pytest.mark.parametrize("harm", TOO_MUCH)
def test_a_process_that_hangs_swells_or_is_killed_asks_for_less(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, harm: str
) -> None:
    assert harmed(monkeypatch, tmp_path, harm) == "too_much"


@pytest.mark.parametrize("harm", CRASHES)
def test_a_process_that_crashes_or_answers_nothing_is_a_refusal_and_no_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, harm: str
) -> None:
    assert harmed(monkeypatch, tmp_path, harm) == "unreadable"


def test_what_the_process_said_last_is_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert harmed(monkeypatch, tmp_path, "raise RuntimeError('of the library')") == "unreadable"
    assert "RuntimeError: of the library" in caplog.text
    assert "Traceback" not in caplog.text
