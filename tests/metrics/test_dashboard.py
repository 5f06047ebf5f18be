"""deploy/grafana names only metrics and labels that exist, and its rules do what they say."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .exposition import exposed
from .promql import Expression, read_expression

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yml").read_text())
ALL_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in ALL_RULES if "alert" in rule}
OF_PROMETHEUS = frozenset(("instance", "job"))
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not here"
)


def panel_expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
            assert asked is not None
            metric, label = asked.groups()
            yield variable["name"], f'sum by ({label}) ({metric}{{{label}=""}})'


EXPRESSIONS = [
    *panel_expressions(),
    *((rule.get("alert") or rule["record"], rule["expr"]) for rule in ALL_RULES),
]


@pytest.fixture(scope="module")
def known() -> dict[str, frozenset[str]]:
    """Labels by series: what is shown, and what the recording rules make of it."""
    recorded = {
        rule["record"]: read_expression(rule["expr"]).grouped_by
        for rule in ALL_RULES
        if "record" in rule
    }
    return exposed() | recorded


@pytest.mark.parametrize(("where", "text"), EXPRESSIONS, ids=lambda part: part[:60])
def test_every_metric_and_label_exists(
    where: str, text: str, known: dict[str, frozenset[str]]
) -> None:
    expression = read_expression(text)
    assert expression.metrics, f"{where} asks for nothing"
    of_all: set[str] = set(OF_PROMETHEUS)
    for metric, labels in expression.metrics:
        assert metric in known, f"{where}: there is no {metric}"
        assert labels <= known[metric] | OF_PROMETHEUS, f"{where}: {metric} has no such label"
        of_all |= known[metric]
    assert expression.grouped_by <= of_all, f"{where} groups by a label that nothing has"


@pytest.mark.parametrize("where", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(
    where: str, known: dict[str, frozenset[str]]
) -> None:
    alert = ALERTS[where]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert set(alert["annotations"]) == {"summary", "description"}
    named = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
    of_all = set(OF_PROMETHEUS)
    for metric, _ in read_expression(alert["expr"]).metrics:
        of_all |= known[metric]
    assert named <= of_all


@pytest.mark.parametrize("slo", ["write_latency", "read_latency", "availability"])
def test_each_objective_is_watched_and_shown(slo: str) -> None:
    """By burn rate, over all objectives at once; the dashboard shows each."""
    assert {"HptsBudgetBurnsFast", "HptsBudgetBurns", "HptsBudgetBurnsSlowly"} <= ALERTS.keys()
    assert any(slo in text for _, text in panel_expressions())


def test_the_dashboard_can_be_loaded() -> None:
    """A schema, panels that do not overlap, the data source that was chosen."""
    assert DASHBOARD["schemaVersion"] >= 36
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize(
    "text",
    [
        "hpts_no_such_metric > 0",
        'hpts_workers{tenant="x"}',
        "sum by (code) (rate(hpts_replays_total[5m]))",
        "hpts:slo_burn:7h > 1",
    ],
)
def test_a_wrong_name_would_be_found(text: str, known: dict[str, frozenset[str]]) -> None:
    with pytest.raises(AssertionError):
        test_every_metric_and_label_exists("here", text, known)


def test_expressions_are_read_as_prometheus_reads_them() -> None:
    text = 'topk(10, sum by (le, tenant) (rate(a_bucket{b=~"x|y", c!=""}[5m]))) > 2 * 86400 or d'
    metrics = (("a_bucket", frozenset(("b", "c"))), ("d", frozenset()))
    assert read_expression(text) == Expression(metrics, frozenset(("le", "tenant")))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="foo"):
        read_expression("foo(a)")


@needs_promtool
@pytest.mark.parametrize(
    "command", [("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")]
)
def test_promtool_finds_nothing_wrong(command: tuple[str, ...]) -> None:
    found = subprocess.run(
        ["promtool", *command], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
