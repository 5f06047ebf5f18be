"""What a PromQL expression names: metrics, the labels it asks each for, those it groups by.

Not a parser of the whole language; a name that it does not understand is an error, never ignored.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

FUNCTIONS = frozenset(
    ("absent", "clamp_max", "deriv", "histogram_quantile", "increase", "label_values", "rate")
    + ("avg", "count", "max", "min", "sum", "time", "topk")
)
OPERATORS = frozenset(("and", "or", "unless", "bool"))
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?(?:\[[^\]]*\])?(?:\s*offset \w+)?")


class Named(NamedTuple):
    """A metric with the labels that are asked of it."""

    metric: str
    labels: frozenset[str]


class Expression(NamedTuple):
    metrics: tuple[Named, ...]
    grouped_by: frozenset[str]


def read_expression(text: str) -> Expression:
    """Raises ValueError for a function that is not known."""
    bare = re.sub(r'"[^"]*"', '""', text)
    grouped = frozenset(
        label.strip() for labels in GROUPING.findall(bare) for label in labels.split(",")
    )
    return Expression(tuple(_metrics(GROUPING.sub(" ", bare))), grouped - {""})


def _metrics(bare: str) -> Iterator[Named]:
    for found in SELECTOR.finditer(bare):
        name, matchers = found.groups()
        is_called = bare[found.end() :].lstrip().startswith("(")
        if re.match(r"\d", bare[found.start() - 1 : found.start()] or " ") or name in OPERATORS:
            continue  # 5m, 1e3
        if is_called:
            if name not in FUNCTIONS:
                raise ValueError(f"{name} is not a function that is known here")
            continue
        labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers or "")
        yield Named(name, frozenset(labels))
