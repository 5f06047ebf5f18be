"""House rules that a reader of the code may rely on, held by reading the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpts

SOURCE = Path(hpts.__file__).parent
FILES = sorted(path for path in SOURCE.rglob("*") if path.suffix in (".py", ".pyx", ".pxd", ".pyi"))
PYTHON = [path for path in FILES if path.suffix == ".py"]
DOMAIN = [path for path in PYTHON if path.is_relative_to(SOURCE / "domain")]
FILE_LINES_MAX, FUNCTION_LINES_MAX, DOCSTRING_LINES_MAX = 400, 50, 6
VAGUE_NAMES = {"utils", "util", "helpers", "common", "manager", "misc"}
CLOCK_READS = {"now", "today", "utcnow", "fromtimestamp", "urandom"}


def shown(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def nodes(paths: list[Path]) -> Iterator[tuple[str, ast.AST]]:
    """Every node with where it stands."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            yield f"{shown(path)}:{getattr(node, 'lineno', 0)}", node


def calls(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """Every call with the last name of what is called."""
    for place, node in nodes(paths):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                yield place, called.id
            elif isinstance(called, ast.Attribute):
                yield place, called.attr


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_no_file_is_too_long_to_be_read_at_once(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = {
        f"{place} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for place, node in nodes(PYTHON)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("path", PYTHON, ids=shown)
def test_every_module_opens_with_its_one_job(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "a module opens with what it is for"
    if path != SOURCE / "ledger.py":  # the file to read first: it opens with the order of steps
        assert len(docstring.splitlines()) <= DOCSTRING_LINES_MAX


def test_nothing_is_named_for_being_useful() -> None:
    assert [shown(path) for path in FILES if path.stem in VAGUE_NAMES] == []


def test_no_check_is_an_assert_that_optimisation_strips() -> None:
    wrong = [place for place, node in nodes(PYTHON) if isinstance(node, ast.Assert)]
    kernel = [path for path in FILES if path.suffix in (".pyx", ".pxd")]
    wrong += [shown(path) for path in kernel if re.search(r"(?m)^\s*assert\b", path.read_text())]
    assert wrong == []


def test_the_domain_never_waits() -> None:
    waiting = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    assert [place for place, node in nodes(DOMAIN) if isinstance(node, waiting)] == []


def test_the_domain_reads_no_clock_and_rolls_no_dice() -> None:
    assert [place for place, name in calls(DOMAIN) if name in CLOCK_READS] == []


def test_no_amount_is_ever_a_float() -> None:
    wrong = [
        place
        for place, node in nodes(DOMAIN)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Name) and node.id in ("float", "Decimal", "Fraction"))
    ]
    assert wrong == []


def test_the_kernel_knows_no_floating_point() -> None:
    kernel = [path for path in FILES if path.suffix in (".pyx", ".pxd")]
    assert kernel
    wrong = [
        shown(path) for path in kernel if re.search(r"\b(double|float|pow|round)\b", code_of(path))
    ]
    assert wrong == []


def code_of(path: Path) -> str:
    return re.sub(r"#.*", "", path.read_text())
