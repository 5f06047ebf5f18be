"""docs/SECURITY.md names tests that are there, and every threat has a control and a test."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text()
TABLE_ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for table in re.findall(r"(?m)^\| threat \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE)
    for line in table.splitlines()
]
NAMED = re.compile(r"`((?:tests/[\w/]+/)?\w+\.py|tests/\w+\.py)`|`(test_\w+)`")


def named_tests() -> list[tuple[str, str | None]]:
    """(file, function or None) in the order of the page. A file without its folder is the last one
    of that name that was named with it; a function is in the file named before it."""
    found: list[tuple[str, str | None]] = []
    paths: dict[str, str] = {}
    file = ""
    for name, function in NAMED.findall(PAGE):
        if name:
            base = name.rpartition("/")[2]
            file = paths[base] = name if "/" in name else paths.get(base, name)
            found.append((file, None))
        else:
            found.append((file, function))
    return found


def functions_of(path: Path) -> set[str]:
    defined = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, defined)
    }


def test_the_tables_are_read_at_all() -> None:
    assert len(TABLE_ROWS) > 40
    assert len([one for one in named_tests() if one[1]]) > 40


@pytest.mark.parametrize("cells", TABLE_ROWS, ids=lambda cells: cells[0][:60])
def test_every_threat_has_a_control_and_names_a_test(cells: list[str]) -> None:
    assert len(cells) == 3, "a threat, a control, a test"
    assert all(cells)
    assert cells[2] == "the same" or NAMED.search(cells[2]) or cells[2].startswith("the same;")


@pytest.mark.parametrize(("file", "function"), dict.fromkeys(named_tests()))
def test_what_it_names_is_there(file: str, function: str | None) -> None:
    path = ROOT / file
    assert path.is_file(), f"{file} is not there, or its folder was not named before"
    if function is not None:
        assert function in functions_of(path), f"{function} is not in {file}"


def test_it_says_how_to_report_and_what_is_out_of_scope() -> None:
    headings = re.findall(r"(?m)^## (.*)$", PAGE)
    assert {"How to report a vulnerability", "Out of scope"} <= {*headings}
