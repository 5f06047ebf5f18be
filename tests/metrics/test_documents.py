"""docs/OPERATIONS.md lists every metric that is shown, with its labels, and no other."""

import re
from pathlib import Path

from .exposition import exposed

OPERATIONS = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"


def listed() -> dict[str, frozenset[str]]:
    """Labels by metric, from the table."""
    rows = re.findall(r"(?m)^\| (`hpts_[^|]*)\| *([^|]*?) *\| [^|]+ \|$", OPERATIONS.read_text())
    return {
        name: frozenset(filter(None, labels.split(", ")))
        for names, labels in rows
        for name in re.findall(r"`(hpts_\w+)`", names)
    }


def test_every_metric_is_listed_with_its_labels() -> None:
    shown = {
        re.sub(r"_(bucket|count|sum)$", "", name): labels - {"le"}
        for name, labels in exposed().items()
    }
    assert listed() == shown
