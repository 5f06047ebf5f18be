"""The image's locks, its Dockerfile and the audit of both hold together.

There is no Docker where these tests run; `make lock-check` takes the installing steps of the
Dockerfile and runs them.
"""

import json
import re
import tomllib
from typing import Any

import pytest

from deploy.audit import FOLDER, LOCKS, is_allowed, locked, normalised, refused, vulnerabilities
from deploy.check_lock import steps
from deploy.write_lock import ROOT, wanted

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
RULES: dict[str, Any] = tomllib.loads((FOLDER / "licences.toml").read_text())
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]


def lock(name: str) -> str:
    return (FOLDER / name).read_text()


def constraints() -> dict[str, str]:
    return locked((ROOT / "constraints.txt").read_text())


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_locked_in_the_version_of_constraints_txt(name: str) -> None:
    assert {*locked(lock(name)).items()} <= {*constraints().items()}


@pytest.mark.parametrize("name", ["requirements", "build"])
def test_everything_that_pyproject_asks_for_is_locked(name: str) -> None:
    found = locked(lock(f"{name}.lock"))
    asked = {normalised(re.split(r"[\[<>=~! ;]", one)[0]) for one in wanted()[name]}
    assert asked and asked <= found.keys()


def test_psycopg_is_its_c_implementation_in_the_image() -> None:
    found = locked(lock("requirements.lock"))
    assert found["psycopg-c"] == found["psycopg"]
    assert "psycopg-binary" not in found


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_pin_or_a_hash_and_names_no_address(name: str) -> None:
    pins = re.split(r"\n(?=\S)", lock(name).strip())
    assert pins.pop(0).startswith("# ")
    for pin in pins:
        first, *hashes = [line.removesuffix(" \\") for line in pin.splitlines()]
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+", first), first
        assert hashes
        for one in hashes:
            assert re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}", one), one


def test_wheels_for_both_processors_are_among_the_hashes() -> None:
    """Of a version with one wheel a processor and Python there are dozens of files."""
    for package in ("cryptography", "granian", "msgspec", "uvloop"):
        (pin,) = re.findall(rf"(?m)^{package}==.*\n(?: .*\n?)+", lock("requirements.lock"))
        assert pin.count("--hash") > 10, package


def test_the_image_installs_by_hash_or_without_dependencies() -> None:
    installing = [step for step in steps(DOCKERFILE) if "install" in step]
    assert len(installing) == 3
    for step in installing:
        assert "--require-hashes" in step or "--no-deps" in step
        assert "--no-build-isolation" in step or "deploy/build.lock" in step
    assert DOCKERFILE.count("pip install") == 3, "another stage installs something"


def test_the_image_runs_the_server_as_nobody_in_particular() -> None:
    assert re.search(r"(?m)^USER (?!root|0)\w+$", FINAL)
    assert 'ENTRYPOINT ["hpts"]\nCMD ["serve"]' in FINAL
    assert "/v1/health/ready" in re.search(r"HEALTHCHECK.*\n.*", FINAL)[0]  # type: ignore[index]
    assert "gcc" not in FINAL
    assert not re.search(r"(?im)^(?:ENV|ARG).*(?:password|secret|token|_url|_key)", DOCKERFILE)


def test_the_health_check_is_a_program() -> None:
    text = FINAL.partition("CMD ")[2].partition("\n#")[0].replace("\\\n", "")
    program = json.loads(text)
    assert program[:2] == ["python3", "-c"]
    compile(program[2], "HEALTHCHECK", "exec")


def test_what_the_image_is_built_from_is_there_and_let_in() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for line in re.findall(r"(?m)^COPY (?!--from)(.*)$", DOCKERFILE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source.rstrip('/')}" in ignored, source


@pytest.mark.parametrize(
    ("package", "licence", "is_fine"),
    [
        ("any", "MIT", True),
        ("any", "Apache-2.0 OR BSD-3-Clause", True),
        ("any", "GPL-3.0-only OR MIT", True),
        ("any", "GPL-3.0-only AND MIT", False),
        ("any", "Apache Software License; MIT License", True),
        ("any", "MIT License; GNU Affero General Public License v3", False),
        ("any", "UNKNOWN", False),
        ("any", "", False),
        ("any", "LGPL-3.0-only", False),
        ("psycopg", "LGPL-3.0-only", True),
        ("psycopg", "GPL-3.0-only", False),
    ],
)
def test_a_licence_is_allowed_by_name_only(package: str, licence: str, is_fine: bool) -> None:
    assert is_allowed(package, licence, RULES) is is_fine


def test_every_allowed_licence_has_its_reason() -> None:
    assert all(RULES["licences"].values())
    assert all(one["reason"] and one["licence"] for one in RULES["packages"].values())
    assert RULES["packages"].keys() <= locked(lock("requirements.lock")).keys()


def test_the_audit_names_what_is_missing_old_or_not_allowed() -> None:
    shown = [
        {"Name": "Good_One", "Version": "1", "License": "MIT"},
        {"Name": "old", "Version": "1", "License": "MIT"},
        {"Name": "bad", "Version": "1", "License": "GPL-3.0-only"},
        {"Name": "not-locked", "Version": "1", "License": "GPL-3.0-only"},
    ]
    asked = {"good-one": "1", "old": "2", "bad": "1", "missing": "1"}
    assert [one.split()[0] for one in refused(shown, asked, RULES)] == ["bad", "missing", "old"]


def test_vulnerabilities_are_told_from_data_that_was_not_reached() -> None:
    known = {"id": "PYSEC-1", "fix_versions": ["2"]}
    packages = [{"name": "a", "version": "1", "vulns": [known]}, {"name": "b", "version": "1"}]
    assert vulnerabilities(json.dumps({"dependencies": packages})) == [
        "a 1: PYSEC-1, mended in ['2']"
    ]
    assert vulnerabilities(json.dumps({"dependencies": packages[1:]})) == []
    assert vulnerabilities("") is None
    assert vulnerabilities("ERROR: connection refused") is None
