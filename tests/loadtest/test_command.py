"""`python -m loadtest` as a user runs it: each scenario for a moment, wrong usage, Ctrl-C.

Locust runs in a process of its own, so gevent patches nothing here. The times are not judged, the
answers are: other tests run at the same moment.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest.__main__ import main
from loadtest.development_server import DevelopmentServer, ServerError, free_port
from loadtest.scenarios import SCENARIOS
from tests.conftest import Server, clean_environment
from tests.system.processes import descendants, wait_until_gone

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS_MAX = 120
MIXED_OPERATIONS = {
    "postPayment",
    "postDisbursement",
    "postAccrualBatch",
    "postReversal",
    "replay",
    "getLoanBalance",
    "listLoanJournalEntries",
}


def loadtest(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtest", *arguments],
        cwd=ROOT,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )


def run_scenario(name: str, server: Server, tokens: list[str], out: Path) -> dict[str, Any]:
    """The summary of a tiny run against `server`, held against what the command printed."""
    given = dict(zip(("TOKEN", "BUSY_TOKEN"), tokens, strict=False))
    arguments = ("--users", "16", "--seconds", "3", "--out", str(out))
    finished = loadtest(name, *arguments, HPTS_URL=server.base_url, **given)
    said = finished.stdout + finished.stderr
    assert (out / "summary.json").exists(), said
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    assert summary["errors"] == [], said
    assert finished.returncode == (1 if summary["broken_objectives"] else 0), said
    for broken in summary["broken_objectives"]:
        assert f"NOT KEPT: {broken}" in finished.stdout
    assert (out / "percentiles.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (out / "report.html").read_text().lower()
    assert summary["final_balances"]["checked"] > 0
    assert summary["final_balances"]["wrong"] == 0
    return summary


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_runs_without_a_wrong_answer(
    name: str,
    server: Server,
    new_tenant: Callable[[], str],
    issue_token: Callable[..., str],
    tmp_path: Path,
) -> None:
    tokens = [issue_token(new_tenant()) for _ in SCENARIOS[name].tenants]
    summary = run_scenario(name, server, tokens, tmp_path)
    figures = {label.strip(): row for label, row in summary["figures"].items()}
    assert figures["writes"]["requests"] > 50
    assert figures["writes"]["p99_ms"] > 0
    if name == "mixed":
        assert set(figures) >= MIXED_OPERATIONS
        assert all(figures[operation]["requests"] > 0 for operation in MIXED_OPERATIONS)
    if name == "two_tenants":
        assert figures["busy: writes"]["requests"] > figures["quiet: writes"]["requests"] > 0


def test_wrong_answers_of_a_server_are_errors_that_fail_the_run(
    server: Server,
    new_tenant: Callable[[], str],
    issue_token: Callable[..., str],
    tmp_path: Path,
) -> None:
    # a token that may pay and not read: the balances are refused, and so is the run
    scopes = "hpts:payments:write hpts:disbursements:write"
    tokens = [issue_token(new_tenant(), scopes=scopes) for _ in range(2)]
    finished = loadtest(
        *("two_tenants", "--users", "6", "--seconds", "2", "--out", str(tmp_path)),
        *("--url", server.base_url, "--token", tokens[0], "--busy-token", tokens[1]),
    )
    assert finished.returncode == 1, finished.stderr
    assert "status 403 insufficient_scope instead of 200" in finished.stdout
    assert "above 0.05 %" in finished.stdout


def test_loans_that_cannot_be_opened_fail_the_run(
    server: Server, issue_token: Callable[..., str], new_tenant: Callable[[], str], tmp_path: Path
) -> None:
    token = issue_token(new_tenant(), scopes="hpts:payments:write")
    finished = loadtest(
        *("payments", "--seconds", "2", "--out", str(tmp_path)),
        *("--url", server.base_url, "--token", token),
    )
    assert finished.returncode == 1
    assert "cannot open the loans: status 403 insufficient_scope" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "SCENARIO"),
        (("unknown",), "invalid choice"),
        (("mixed", "--users", "0"), "whole number"),
        (("mixed", "--seconds", "1.5"), "whole number"),
        (("two_tenants", "--users", "1"), "at least 2 users"),
        (("mixed", "--url", "ftp://host"), "not an http"),
        (("mixed", "--url", "http://host"), "TOKEN"),
        (("two_tenants", "--url", "http://host", "--token", "t"), "BUSY_TOKEN"),
    ],
)
def test_wrong_usage_ends_with_status_2(arguments: tuple[str, ...], said: str) -> None:
    finished = loadtest(*arguments)
    assert finished.returncode == 2
    assert said in finished.stderr


@pytest.mark.parametrize("package", ["locust", "matplotlib"])
def test_a_package_that_is_missing_is_said_before_the_run(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("loadtest.__main__.find_spec", lambda name: name != package or None)
    assert main(["payments", "--url", "http://127.0.0.1:1", "--token", "t"]) == 2
    assert f"{package} is not installed: make install" in capsys.readouterr().err


def test_no_free_port_is_an_error_and_not_a_search_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("loadtest.development_server.PORTS", range(port, port + 1))
        with pytest.raises(ServerError, match="no free port among 1000 tried"):
            free_port()


def test_a_server_that_says_nothing_is_told_with_the_room_for_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ServerError, match=r"it wrote nothing to .*, where [0-9,]+ MB are free"):
        DevelopmentServer(tmp_path / "server.log").__enter__()


def test_a_server_that_is_not_there_ends_with_status_1(tmp_path: Path) -> None:
    finished = loadtest(
        *("mixed", "--url", "http://127.0.0.1:1", "--token", "t", "--out", str(tmp_path))
    )
    assert finished.returncode == 1
    assert "no server is ready" in finished.stderr


def test_ctrl_c_stops_the_server_it_started_and_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [*(sys.executable, "-m", "loadtest", "payments"), "--out", str(tmp_path / "out")],
            cwd=ROOT,
            env=clean_environment(TMPDIR=str(temporary)),
            stderr=said,
            stdout=said,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + RUN_SECONDS_MAX
        while "Running payments" not in (tmp_path / "said").read_text():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)  # into the middle of locust's start, or of its run
        started = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(RUN_SECONDS_MAX) == 130
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(RUN_SECONDS_MAX)
    assert len(started) > 3  # server, workers, PostgreSQL, locust
    wait_until_gone(started)
    assert list(temporary.iterdir()) == []
