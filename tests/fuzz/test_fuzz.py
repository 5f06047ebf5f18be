"""Inputs that nobody would send, by the thousand: no crash, no 500, no report of a sanitizer.

`make test` checks 10,000, `make soak` a million where there is time, `make fuzz INPUTS=N` as many
as you like. A finding is printed with its input and its number; the run's `--hypothesis-seed` and
FUZZ_ONLY=NUMBER, with `-k` and the target, check that one again.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpts.http.issuer import DEVELOPMENT_ISSUER, DevelopmentIssuer
from tests.conftest import as_application, clean_environment
from tests.fuzz.catalogue import CATALOGUE, Entry, inputs_of
from tests.fuzz.table import PROPERTY, Row
from tests.fuzz.target import Marker
from tests.kernel.sanitized import SanitizedKernel

INPUTS = int(os.environ.get("FUZZ_INPUTS", "10000"))
ONLY = int(os.environ.get("FUZZ_ONLY", "0"))
SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
"""For all targets together; 0 for as long as the inputs take."""
BEGAN = time.monotonic()
SECONDS_MAX = 300 + INPUTS // 100
ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(request: pytest.FixtureRequest, entry: Entry) -> dict[str, str]:
    """Of the process that fuzzes, by what it needs."""
    if entry.needs == "sanitized":
        kernel: SanitizedKernel = request.getfixturevalue("sanitized_kernel")
        return clean_environment() | kernel.environment
    if not entry.needs:
        return clean_environment()
    issuer: DevelopmentIssuer = request.getfixturevalue("issuer")
    return clean_environment(
        HPTS_DATABASE_URL=as_application(request.getfixturevalue("database_url")),
        HPTS_INTERFACE="asgi",
        HPTS_ISSUER=DEVELOPMENT_ISSUER,
        HPTS_JWKS_URL=issuer.jwks_path.resolve().as_uri(),
        HPTS_CHECKPOINT_KEY=str(issuer.checkpoint_key()),
        HPTS_TRUSTED_PROXIES="127.0.0.1",
    )


@pytest.fixture
def context(
    request: pytest.FixtureRequest, entry: Entry, seed: int, tmp_path: Path
) -> dict[str, Any]:
    """What the process that fuzzes is told."""
    told: dict[str, Any] = {"name": entry.name, "module": entry.module, "folder": str(tmp_path)}
    told |= {"seed": seed, "inputs": inputs_of(entry, INPUTS), "only": ONLY}
    told["seconds"] = share_of_time(entry)
    if entry.needs == "application":
        issue_token: Callable[..., str] = request.getfixturevalue("issue_token")
        new_tenant: Callable[[], str] = request.getfixturevalue("new_tenant")
        told["token"] = issue_token(new_tenant(), expires_in=86_400)
    elif entry.needs == "sanitized":
        told["kernel"] = str(request.getfixturevalue("sanitized_kernel").path)
    return told


def share_of_time(entry: Entry) -> float | None:
    """An equal share of the time that is left for this target and those after it."""
    if not SECONDS:
        return None
    left = BEGAN + SECONDS - time.monotonic()
    return max(1.0, left / (len(CATALOGUE) - CATALOGUE.index(entry)))


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: re.sub(r"\W+", "-", entry.name))
def test_nothing_that_is_sent_breaks_it(
    entry: Entry,
    environment: dict[str, str],
    context: dict[str, Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    path, log = tmp_path / "context.json", tmp_path / "log"
    path.write_text(json.dumps(context))
    with log.open("wb") as output:
        ran = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", str(path)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            timeout=SECONDS_MAX,
            check=False,
        )
    said = log.read_text(errors="replace")
    if ran.returncode:
        at = Marker.read(tmp_path / "marker") if (tmp_path / "marker").exists() else "none"
        pytest.fail(f"{entry.name}: the process ended at input {at}\n{said[-6000:]}")
    report = json.loads((tmp_path / "report.json").read_text())
    findings = report.pop("findings")
    row = Row(entry.name, crashes=len(findings), **report)
    request.node.user_properties.append((PROPERTY, list(row)))
    assert not findings, "\n".join(findings).replace(context.get("token", "no token"), "TOKEN")
    assert '"exception"' not in said, "the application logged an error"
    if "token" in context:
        assert context["token"] not in said, "a token is in the log"
    assert report["inputs"] >= (1 if SECONDS else context["inputs"]) or ONLY
