"""Layers import downwards only, and what belongs to one layer is imported in no other.

Every module has its place in PLACES; a module that has none yet fails here until it is given one.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import hpts

SOURCE = Path(hpts.__file__).parent
LAYERS = ("kernel", "domain", "store", "ledger", "http", "edge")
"""From the lowest: a module imports its own layer and those before it."""
LEAVES = frozenset(("hpts", "hpts.meters", "hpts.spans", "hpts.telemetry", "hpts.domain.limits"))
"""Anybody may import these; the last one is the only one that config may."""
PLACES = {
    "hpts": "leaf",
    "hpts.meters": "leaf",
    "hpts.spans": "leaf",
    "hpts.telemetry": "leaf",
    "hpts._identifiers": "kernel",
    "hpts._posting": "kernel",
    "hpts._hashing": "kernel",
    "hpts._vouching": "kernel",
    "hpts.domain": "domain",
    "hpts.bank_files": "domain",
    "hpts.store": "store",
    "hpts.accounting": "ledger",
    "hpts.batch_meters": "ledger",
    "hpts.decisions": "ledger",
    "hpts.ledger": "ledger",
    "hpts.posting": "ledger",
    "hpts.http": "http",
    "hpts._confine": "edge",
    "hpts.application": "edge",
    "hpts.cli": "edge",
    "hpts.commands": "edge",
    "hpts.config": "edge",
    "hpts.config_values": "edge",
    "hpts.crash_loop": "edge",
    "hpts.demo": "edge",
    "hpts.development": "edge",
    "hpts.embedded": "edge",
    "hpts.metrics": "edge",
    "hpts.otel": "edge",
    "hpts.partner_files": "edge",
    "hpts.partner_listener": "edge",
    "hpts.postgres_account": "edge",
    "hpts.postgres_binaries": "edge",
    "hpts.proofs": "leaf",
    "hpts.relay": "edge",
    "hpts.relay_process": "edge",
    "hpts.server": "edge",
    "hpts.state_lock": "edge",
    "hpts.top": "edge",
}
"""A package stands for all its modules."""
ONLY_IN = {
    "prometheus_client": ("hpts.metrics", "hpts.top"),
    "opentelemetry": ("hpts.otel",),
    "rich": ("hpts.commands.top", "hpts.top"),
    "psycopg": ("hpts.store", "hpts.cli", "hpts.development", "hpts.embedded"),
    "aiohttp": ("hpts.relay",),
    "jwt": ("hpts.http",),
    "cryptography": ("hpts.http", "hpts.partner_files", "hpts.proofs"),
    "yaml": ("hpts.http.document",),
    "jsonschema": ("hpts.http.document",),
    "granian": ("hpts.server", "hpts.http.rsgi"),
    "uvloop": ("hpts.server", "hpts.demo", "hpts.relay_process"),
    "lxml": ("hpts.bank_files",),
    "subprocess": (
        "hpts.bank_files.reader",
        "hpts.embedded",
        "hpts.postgres_account",
        "hpts.postgres_binaries",
    ),
}
"""Packages that only these modules may know."""
NOT_IN_DOMAIN = frozenset(
    ("asyncio", "decimal", "fractions", "logging", "os", "psycopg", "random", "secrets", "socket")
    + ("threading", "time", "uuid")
)


class Import(NamedTuple):
    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def name_of(path: Path) -> str:
    parts = ("hpts", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    paths = [*SOURCE.rglob("*.py"), *SOURCE.glob("*.pyx")]
    return {name_of(path): path for path in paths}


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def place_of(module: str) -> str | None:
    if module in PLACES:
        return PLACES[module]
    parent = ".".join(module.split(".")[:2])
    return PLACES.get(parent) if (SOURCE / parent.removeprefix("hpts.")).is_dir() else None


def imports() -> Iterator[Import]:
    known = modules()
    for module, path in known.items():
        if path.suffix == ".pyx":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(module, alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module}:{node.lineno} is a relative import"
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield Import(module, whole if whole in known else str(node.module), node.lineno)


IMPORTS = list(imports())
OWN = [found for found in IMPORTS if is_within(found.imported, "hpts")]


def test_every_module_has_a_place() -> None:
    unplaced = [module for module in modules() if place_of(module) is None]
    assert not unplaced, "add them to PLACES, in the layer that they belong to"


def test_every_place_is_taken() -> None:
    assert PLACES.keys() <= modules().keys()
    assert set(PLACES.values()) == {"leaf", *LAYERS}


def test_only_modules_that_exist_are_imported() -> None:
    assert [str(found) for found in OWN if found.imported not in modules()] == []


def test_layers_import_downwards_only() -> None:
    wrong = [
        str(found)
        for found in OWN
        if found.imported not in LEAVES and not is_downwards(found.importer, found.imported)
    ]
    assert wrong == []


def is_downwards(importer: str, imported: str) -> bool:
    above, below = place_of(importer), place_of(imported)
    if above == "leaf" or below == "leaf":
        return below == "leaf"
    return LAYERS.index(str(above)) >= LAYERS.index(str(below))


def test_leaves_import_nothing_of_the_package() -> None:
    assert [str(found) for found in OWN if found.importer in LEAVES] == []


def test_config_imports_only_the_limits() -> None:
    settings = ("hpts.config", "hpts.config_values")
    found = {found.imported for found in OWN if found.importer in settings}
    assert found == {"hpts.config_values", "hpts.domain.limits"}


def test_the_demo_knows_the_api_and_nothing_else_of_the_package() -> None:
    """What it checks the books against would otherwise be the code that wrote them."""
    assert [
        str(found)
        for found in OWN
        if is_within(found.importer, "hpts.demo") and not is_within(found.imported, "hpts.demo")
    ] == []


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for found in OWN:
        if found.importer != found.imported:
            graph.setdefault(found.importer, set()).add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_known_only_where_it_belongs(package: str) -> None:
    users = [found for found in IMPORTS if is_within(found.imported, package)]
    assert users, "nobody uses it; take it out of the table"
    wrong = [
        str(found)
        for found in users
        if not any(is_within(found.importer, allowed) for allowed in ONLY_IN[package])
    ]
    assert wrong == []


def test_the_domain_has_no_clock_randomness_or_input_and_output() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if is_within(found.importer, "hpts.domain")
        and found.imported.split(".")[0] in NOT_IN_DOMAIN
    ]
    assert wrong == []
