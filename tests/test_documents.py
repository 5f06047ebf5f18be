"""What the documents point at is there: files, headings, and a word on each thing that there is."""

import re
from pathlib import Path

import pytest

from hpts.config import describe_settings, load_settings
from hpts.domain.audit import Action

CHECKOUT = Path(__file__).parents[1]
DOCUMENTS = [
    *CHECKOUT.glob("*.md"),
    *CHECKOUT.glob("docs/*.md"),
    *CHECKOUT.glob("bench/*.md"),
]
FOLDERS = (CHECKOUT, CHECKOUT / "src" / "hpts", CHECKOUT / "docs")
"""From where the text names files."""
FILE = re.compile(r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|pyx|pxd|sql|md|yaml|json|toml|conf|lock))`")


def shown(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def prose(document: Path) -> str:
    return re.sub(r"(?ms)^```.*?^```", "", document.read_text())


def anchors(document: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", prose(document))
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def is_there(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(document))
    inside = [link for link in links if not re.match(r"https?:", link)]
    assert [link for link in inside if not is_there(document, link)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    named = {name for name in FILE.findall(prose(document)) if not name.startswith("build/")}
    assert [one for one in named if not any((base / one).exists() for base in FOLDERS)] == []


def test_the_readme_has_every_setting_and_no_other() -> None:
    rows = re.findall(r"(?m)^\| (`HPTS_[^|]*) \|", (CHECKOUT / "README.md").read_text())
    told = re.findall(r"HPTS_[A-Z_]+", " ".join(rows))
    assert sorted(told) == sorted(name for name, _, _ in describe_settings(load_settings()))


def test_every_table_is_explained() -> None:
    migrations = sorted((CHECKOUT / "migrations").glob("*.sql"))
    made = re.findall(
        r"(?m)^CREATE TABLE (\w+)", "\n".join(path.read_text() for path in migrations)
    )
    text = (CHECKOUT / "docs" / "ARCHITECTURE.md").read_text()
    assert made
    assert [table for table in made if f"`{table}`" not in text] == []


def test_every_audited_action_is_explained() -> None:
    text = (CHECKOUT / "docs" / "OPERATIONS.md").read_text()
    assert [action.value for action in Action if f"`{action.value}`" not in text] == []
