"""`hpts top`: what it reckons from two looks at a server, and that it shows it."""

import http.server
import io
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from hpts.cli import main
from hpts.top.scrape import Growth, Scrape, ScrapeFailed, Series, growth_between, scrape
from hpts.top.view import render, render_within

REQUEST = {"method": "POST", "route": "/v1/payments", "status": "201"}
TENANT = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def look(at: float, count: int, *, slow: int = 0, failed: int = 0) -> Scrape:
    """A server that has answered `count` payments, `slow` of them in more than 0.1 s."""
    series = {
        "hpts_workers": [Series({}, 2)],
        "hpts_database_up": [Series({}, 1)],
        "hpts_request_seconds_count": [
            Series(REQUEST, count),
            Series(REQUEST | {"status": "503"}, failed),
        ],
        "hpts_request_seconds_bucket": [
            Series(REQUEST | {"le": "0.05"}, count - slow),
            Series(REQUEST | {"le": "0.1"}, count - slow),
            Series(REQUEST | {"le": "0.3"}, count),
            Series(REQUEST | {"le": "+Inf"}, count),
        ],
        "hpts_slo_requests_total": [Series({"slo": "write_latency"}, count)],
        "hpts_slo_misses_total": [Series({"slo": "write_latency"}, slow)],
        "hpts_slo_target": [Series({"slo": "write_latency"}, 0.99)],
        "hpts_lane_depth": [Series({"tenant": TENANT}, 7), Series({"tenant": "other"}, 0)],
        "hpts_lane_wait_seconds_count": [Series({"tenant": TENANT}, count)],
        "hpts_refusals_total": [Series({"code": "overloaded"}, failed)],
        "hpts_reconciliation_mismatched_accounts": [Series({"tenant": TENANT}, 0)],
        "hpts_dead_versions_per_row": [
            Series({"table": "ledger_heads"}, 12_345.6),
            Series({"table": "account_totals"}, 7),
        ],
        "hpts_standby_lag_bytes": [Series({"standby": "berlin"}, 3_000_000)],
        "hpts_standby_lag_seconds": [Series({"standby": "berlin"}, 1.5)],
    }
    return Scrape(at, series)


def shown(growth: Growth) -> str:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(render("http://here", growth))
    return console.export_text()


def test_rates_are_of_the_last_seconds() -> None:
    growth = growth_between(look(100, 1_000), look(102, 1_500))
    assert growth.rate("hpts_request_seconds_count", status="201") == 250
    assert growth.of("hpts_request_seconds_count", status="201") == 500


def test_percentiles_are_of_the_last_seconds_as_prometheus_has_them() -> None:
    growth = growth_between(look(0, 1_000, slow=1_000), look(1, 1_100, slow=1_010))
    assert growth.quantile(0.5, "hpts_request_seconds") == pytest.approx(0.05 * 50 / 90)
    assert growth.quantile(0.99, "hpts_request_seconds") == pytest.approx(0.1 + 0.2 * 9 / 10)
    quiet = growth_between(look(0, 5), look(1, 5))
    assert quiet.quantile(0.99, "hpts_request_seconds") is None


def test_a_server_that_was_started_anew_is_not_shown_in_negative_numbers() -> None:
    growth = growth_between(look(0, 1_000), look(2, 10))
    assert growth.before is None
    assert growth.rate("hpts_request_seconds_count") is None
    assert "since the server's start" in shown(growth)


def test_the_screen_has_rates_latencies_lanes_objectives_and_lags() -> None:
    text = shown(growth_between(look(0, 1_000), look(2, 1_500, slow=100, failed=30)))
    (route,) = [line for line in text.splitlines() if "POST /v1/payments" in line]
    assert "265.0" in route  # 500 + 30 in two seconds
    assert route.rstrip(" │").endswith("30")
    (lane,) = [line for line in text.splitlines() if TENANT in line]
    assert lane.split()[2:4] == ["7", "250.0"]
    assert "write_latency uses 20.0x of its budget" in text
    assert "refused: overloaded 30" in text
    assert "3.0 MB, 1.5 s behind" in text
    (dead,) = [line for line in text.splitlines() if "dead versions of a row" in line]
    assert "12,346" in dead
    assert "2 workers" in text


@pytest.mark.parametrize("height", [24, 30, 50])
def test_a_busy_server_fits_into_the_terminal_with_its_lags(height: int) -> None:
    before, now = look(0, 1_000), look(2, 1_500, slow=100, failed=30)
    for at in range(12):
        labels = {"method": "GET", "route": f"/v1/route-{at}", "status": "200"}
        now.series["hpts_request_seconds_count"].append(Series(labels, 10 + at))
        now.series["hpts_lane_depth"].append(Series({"tenant": f"tenant {at}"}, at))
    for lane in ("postings", "accruals"):
        count = Series({"lane": lane}, 9)
        now.series.setdefault("hpts_batch_postings_count", []).append(count)
    now.series["hpts_replays_total"] = [Series({}, 3)]
    now.series["hpts_relay_lag_seconds"] = [Series({"tenant": TENANT}, 4.5)]
    now.series["hpts_relay_parked"] = [Series({"tenant": TENANT}, 2)]
    console = Console(file=io.StringIO(), width=80, height=height)
    screen = render_within(console, "http://127.0.0.1:9464/metrics", growth_between(before, now))
    lines = ["".join(part.text for part in line) for line in console.render_lines(screen)]
    assert len(lines) <= height
    text = "\n".join(lines)
    assert "3.0 MB, 1.5 s behind" in text
    assert "4.5 s" in text
    assert "POST /v1/payments" in text
    assert ("╭" in text) == (height > 24)


def test_an_idle_server_says_so() -> None:
    text = shown(growth_between(look(0, 5), look(2, 5)))
    assert "no requests" in text


MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # which a shell may
    "from hpts.cli import main; raise SystemExit(main())"  # have it ignore in the background
)


@contextmanager
def answering(body: str) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("suffix", ["", "/", "/metrics"])
def test_a_url_may_leave_out_the_path(suffix: str) -> None:
    with answering("hpts_workers 3.0\n") as url:
        assert scrape(url + suffix).sum("hpts_workers") == 3


@pytest.mark.parametrize("body", ["<html>", "go_threads 1.0\n", ""])
def test_what_is_no_hpts_server_is_said_to_be_none(body: str) -> None:
    with answering(body) as url, pytest.raises(ScrapeFailed, match="http"):
        scrape(url)


def test_where_nothing_listens_the_command_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["top", "--url", "http://127.0.0.1:1"]) == 1
    assert "http://127.0.0.1:1" in capsys.readouterr().err


def test_into_a_pipe_it_prints_one_look_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with answering("hpts_workers 3.0\nhpts_database_up 1.0\n") as url:
        assert main(["top", "--url", url, "--interval", "0.2"]) == 0
    assert "3 workers" in capsys.readouterr().out


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://127.0.0.1:port", "http:// 127.0.0.1", "ftp://127.0.0.1", "9464"]
)
def test_what_is_no_url_is_said_to_be_none(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--once", "--url", url]) == 1
    assert url in capsys.readouterr().err


def test_what_does_not_speak_http_is_said_to_be_no_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert main(["top", "--once", "--url", url]) == 1
        thread.join()
    assert url in capsys.readouterr().err


def test_a_terminal_that_cannot_be_drawn_over_gets_one_look_below_the_other() -> None:
    with answering("hpts_workers 3.0\nhpts_database_up 1.0\n") as url:
        command = [sys.executable, "-c", MAIN, "top", "--interval", "0.2", "--url", url]
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "dumb"},
        ) as running:
            os.close(theirs)
            shown = b""
            while shown.count(b"3 workers") < 2 and running.poll() is None:
                shown += os.read(ours, 65_536)
            running.send_signal(signal.SIGINT)
        os.close(ours)
    assert shown.count(b"3 workers") >= 2
    assert b"\x1b" not in shown
