"""README.md does what it says: every `sh` block runs, in order, in a scratch copy of the checkout.

A comment above a block says otherwise: `<!-- test: skip REASON -->`, or `<!-- test: background -->`
for a command that stays until it is interrupted. Variables and functions last from block to block,
as in the reader's shell. Port 3000 is replaced by a free one.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.conftest import clean_environment, needs_curl

from .processes import answers, descendants, quiet_port, signal_group, wait_until_gone

CHECKOUT = Path(__file__).parents[2]
README = CHECKOUT / "README.md"
READY = "HPTS is ready"
READY_SECONDS_MAX = 40
BLOCK_SECONDS_MAX = 90
BLOCK = re.compile(
    r"(?:^<!-- test: (?P<kind>skip|background)(?P<reason>[^\n]*?) *-->\n)?"
    r"^```sh\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
RECURSIVE = re.compile(r"make (test|check|bench|clean)|pytest")


class Block(NamedTuple):
    """A block of shell commands; `kind` is "run", "skip" or "background"."""

    line: int
    kind: str
    reason: str
    text: str


def read_blocks(text: str) -> list[Block]:
    return [
        Block(
            text.count("\n", 0, found.start()) + 1,
            found["kind"] or "run",
            (found["reason"] or "").strip(),
            found["text"],
        )
        for found in BLOCK.finditer(text)
    ]


def test_every_block_says_how_it_is_tested() -> None:
    text = README.read_text()
    blocks = read_blocks(text)
    assert len(blocks) == text.count("\n```sh\n"), "a block that the test does not see"
    comments = [line for line in text.splitlines() if line.startswith("<!-- test:")]
    assert len(comments) == sum(block.kind != "run" for block in blocks), "a comment without block"
    for block in blocks:
        assert block.kind != "skip" or block.reason, f"line {block.line}: skipped without a reason"
        assert block.kind == "skip" or not RECURSIVE.search(block.text), (
            f"line {block.line}: would run the test suite in itself, or rebuild its environment"
        )
    assert any(block.kind == "background" for block in blocks)


@needs_curl
def test_the_commands_of_the_readme_work_in_order(tmp_path: Path) -> None:
    port = quiet_port()
    copy_checkout(tmp_path)
    environment = clean_environment(HPTS_PORT=str(port)) | {
        "PATH": f"{tmp_path / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PIP_DRY_RUN": "1",  # .venv leads to the one that runs this test
    }
    with ExitStack() as running:
        for block in read_blocks(README.read_text()):
            (tmp_path / ".venv" / ".installed").touch()  # `make` would install into our own .venv
            text = re.sub(r"(localhost|127\.0\.0\.1):3000", rf"\g<1>:{port}", block.text)
            if block.kind == "background":
                running.enter_context(background(block, text, tmp_path, environment))
                assert answers(f"http://127.0.0.1:{port}/v1/health/ready")
            elif block.kind == "run":
                environment = run_block(block, text, tmp_path, environment)


def copy_checkout(folder: Path) -> None:
    """Links to everything that is not hidden, and a .venv that leads to ours."""
    for found in CHECKOUT.iterdir():
        if not found.name.startswith("."):
            (folder / found.name).symlink_to(found)
    (folder / ".venv").mkdir()
    for found in Path(sys.prefix).iterdir():
        if found.name != ".installed":
            (folder / ".venv" / found.name).symlink_to(found)


def run_block(block: Block, text: str, folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """Run a block to its end; the environment that it leaves, functions included."""
    left = folder / "environment"
    script = f"trap 'env -0 > {left}' EXIT\nset -aeo pipefail\nshopt -s inherit_errexit\n{text}"
    began = time.monotonic()
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS_MAX,
        check=False,
    )
    print(f"line {block.line}: {time.monotonic() - began:.1f} s")
    said = f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    assert ran.returncode == 0, f"README.md, line {block.line}: {ran.returncode}\n{text}\n{said}"
    pairs = [item.partition("=") for item in left.read_text().split("\0") if item]
    return {name: value for name, _, value in pairs}


@contextmanager
def background(
    block: Block, text: str, folder: Path, environment: dict[str, str]
) -> Iterator[None]:
    """The command, ready; interrupted as by Ctrl-C at the end, and all of it gone."""
    output = folder / f"background-{block.line}"
    with output.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while READY not in output.read_text():
            late = process.poll() is not None or time.monotonic() > deadline
            assert not late, f"README.md, line {block.line} is not ready:\n{output.read_text()}"
            time.sleep(0.05)
        yield
    finally:
        left = descendants(process.pid)
        if process.poll() is None:
            signal_group(process, signal.SIGINT)
        process.wait(30)
        wait_until_gone(left, 10)
