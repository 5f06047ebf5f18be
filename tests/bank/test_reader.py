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


HARMS = (
    "while True: pass",
    "held = [bytes(2**24) for _ in range(2**20)]",
    "os.kill(os.getpid(), 9)",
)


@pytest.mark.parametrize("harm", HARMS)
def test_a_process_that_hangs_swells_or_dies_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, harm: str
) -> None:
    """As a file would that makes a library do so."""
    program = tmp_path / "harm.py"
    program.write_text(
        "import os, sys\nfrom hpts.bank_files import reader\n"
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
    assert raised.value.errors[0].code == "too_much"
