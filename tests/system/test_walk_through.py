"""The walk-through of docs/OPERATIONS.md does what it says, run as README.md is run."""

import os
import re
from contextlib import ExitStack
from pathlib import Path

from tests.conftest import clean_environment, needs_curl

from .processes import answers, quiet_port
from .test_readme import CHECKOUT, background, copy_checkout, read_blocks, run_block

OPERATIONS = CHECKOUT / "docs" / "OPERATIONS.md"
TITLE = "### From a statement to a reconciled day, and to a break found and explained"


def walk_through() -> str:
    """The section after as many lines as the file has before it: messages name the file's lines."""
    text = OPERATIONS.read_text()
    began = text.index(TITLE)
    end = re.compile(r"^## ", re.MULTILINE).search(text, began)
    assert end is not None
    return "\n" * text.count("\n", 0, began) + text[began : end.start()]


@needs_curl
def test_a_statement_leads_to_a_reconciled_day_and_to_a_break_found_and_explained(
    tmp_path: Path,
) -> None:
    blocks = read_blocks(walk_through())
    assert [block.kind for block in blocks] == ["background", "run", "run", "run", "run"]
    port = quiet_port()
    copy_checkout(tmp_path)
    environment = clean_environment(HPTS_PORT=str(port)) | {
        "PATH": f"{tmp_path / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PIP_DRY_RUN": "1",  # .venv leads to the one that runs this test
    }
    with ExitStack() as running:
        for block in blocks:
            (tmp_path / ".venv" / ".installed").touch()
            text = block.text.replace("localhost:3000", f"localhost:{port}")
            if block.kind == "background":
                running.enter_context(background(block, text, tmp_path, environment))
                assert answers(f"http://127.0.0.1:{port}/v1/health/ready")
            else:
                environment = run_block(block, text, tmp_path, environment)
