"""`python -m loadtest`: server, loans, locust, report and verdict of one scenario.

Exit status 0 when every objective was kept, 1 when one was not or the run failed, 2 for wrong
usage, 130 after Ctrl-C. What it started it stops, whatever happens.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from loadtest.development_server import DevelopmentServer, ServerError, is_ready
from loadtest.recorder import Recording, RunPlan, TenantPlan, read_recording
from loadtest.scenarios import (
    REQUESTS_PER_USER_SECOND,
    SCENARIOS,
    USERS_DEFAULT,
    Scenario,
)
from loadtest.summary import summarise, table

ROOT = Path(__file__).resolve().parent.parent
SECONDS_DEFAULT, SECONDS_MAX = 60, 3600
USERS_MAX = 1_000
AFTER_RUN_SECONDS_MAX = 90
"""Opening the loans, last answers, final balances and locust's report."""
LOCUST_STOP_SECONDS_MAX = 30
TOKEN_SECONDS_BESIDE = 600
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOCUST_LOG = "locust.log"
NEEDED_AT_THE_END = ("locust", "matplotlib")
"""Imported late, for they start slowly, and looked for at once: a run is not made in vain."""


class RunError(Exception):
    """The run cannot be used; the message says why."""


class Target(NamedTuple):
    base_url: str
    tokens: dict[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    chosen = parser.parse_args(arguments)
    scenario = SCENARIOS[chosen.scenario]
    given = _given_target(parser, chosen, scenario)
    if chosen.users < len(scenario.roles):
        parser.error(f"{chosen.scenario} needs at least {len(scenario.roles)} users")
    for package in NEEDED_AT_THE_END:
        if find_spec(package) is None:
            print(f"loadtest: {package} is not installed: make install", file=sys.stderr)
            return 2
    for number in ENDING_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        out = chosen.out or Path("build") / "loadtest" / chosen.scenario
        out.mkdir(parents=True, exist_ok=True)
        with _target(given, chosen, scenario, out) as target:
            recording = _run_locust(chosen, scenario, target, out)
        return _report(chosen, recording, out)
    except (RunError, ServerError, OSError, subprocess.SubprocessError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nloadtest: interrupted; everything that was started has been stopped", file=sys.stderr
        )
        return 130


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:<12} {each.summary}" for name, each in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m loadtest",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Load one scenario onto a server and hold it against the objectives:\n"
        "p99 of writes 100 ms, p99 of reads 300 ms, wrong answers 0.05 %. Every answer is checked.",
        epilog=f"scenarios:\n{scenarios}\n\n"
        "Without --url a server of its own is started on books of its own and stopped again.\n"
        "OUT gets report.html (locust's), percentiles.png, summary.json, locust.log, server.log.\n"
        "Exit status: 0 objectives kept, 1 not kept or failed, 2 wrong usage, 130 interrupted.",
    )
    parser.add_argument("scenario", choices=SCENARIOS, metavar="SCENARIO", help="see below")
    parser.add_argument(
        "--users",
        type=_whole(USERS_MAX),
        default=USERS_DEFAULT,
        help=f"each offers {REQUESTS_PER_USER_SECOND} requests a second ({USERS_DEFAULT})",
    )
    parser.add_argument(
        "--seconds", type=_whole(SECONDS_MAX), default=SECONDS_DEFAULT, help=f"({SECONDS_DEFAULT})"
    )
    parser.add_argument("--out", type=Path, help="folder (build/loadtest/SCENARIO)")
    parser.add_argument("--url", help="test this server (or HPTS_URL); needs tokens")
    parser.add_argument("--token", help="of the tenant, the quiet one of two (or TOKEN)")
    parser.add_argument("--busy-token", help="of the other tenant in two_tenants (or BUSY_TOKEN)")
    return parser


def _whole(highest: int) -> Any:
    def parse(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {highest}")
        return int(text)

    return parse


def _given_target(
    parser: argparse.ArgumentParser, chosen: argparse.Namespace, scenario: Scenario
) -> Target | None:
    """The server to test, where the caller names one."""
    base_url = chosen.url or os.environ.get("HPTS_URL")
    if not base_url:
        return None
    if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
        parser.error(f"{base_url!r} is not an http or https URL")
    tokens = [chosen.token or os.environ.get("TOKEN")]
    tokens.append(chosen.busy_token or os.environ.get("BUSY_TOKEN"))
    needed = tokens[: len(scenario.tenants)]
    if not all(needed):
        names = ("--token (TOKEN)", "--busy-token (BUSY_TOKEN)")[: len(needed)]
        parser.error(f"a server of your own needs {' and '.join(names)} as well")
    named = zip(scenario.tenants, needed, strict=True)
    return Target(
        base_url.rstrip("/").removesuffix("/v1"), {name: str(each) for name, each in named}
    )


@contextlib.contextmanager
def _target(
    given: Target | None, chosen: argparse.Namespace, scenario: Scenario, out: Path
) -> Iterator[Target]:
    if given is not None:
        if not is_ready(given.base_url):
            raise RunError(f"no server is ready at {given.base_url}")
        yield given
        return
    print("Starting a server ...", file=sys.stderr, flush=True)
    with DevelopmentServer(out / "server.log") as server:
        lifetime = chosen.seconds + TOKEN_SECONDS_BESIDE
        tokens = {
            tenant: server.token(f"load test: {tenant}", expires_in=lifetime)
            for tenant in scenario.tenants
        }
        yield Target(server.base_url, tokens)


def _run_locust(
    chosen: argparse.Namespace, scenario: Scenario, target: Target, out: Path
) -> Recording:
    print(
        f"Running {chosen.scenario} for {chosen.seconds} s against {target.base_url} ...",
        file=sys.stderr,
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="hpts-loadtest-") as name:
        folder = Path(name)  # only its owner may read it, as it should be with tokens
        plan = RunPlan(
            base_url=target.base_url,
            scenario=chosen.scenario,
            seconds=chosen.seconds,
            tenants=[TenantPlan(*named) for named in target.tokens.items()],
            result=str(folder / "recording.json"),
        )
        (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
        users = chosen.users + scenario.has_accruals
        with (out / LOCUST_LOG).open("wb") as log:
            process = subprocess.Popen(
                _locust_command(target, users, chosen.seconds, out),
                env=_locust_environment(folder / "plan.json"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for us, who stop it
            )
            _wait(process, chosen.seconds + AFTER_RUN_SECONDS_MAX)
        if process.returncode != 0 or not Path(plan.result).exists():
            tail = (out / LOCUST_LOG).read_text(errors="replace")[-2_000:]
            raise RunError(f"locust failed (exit status {process.returncode}):\n{tail}")
        return read_recording(Path(plan.result))


def _locust_command(target: Target, users: int, seconds: int, out: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(ROOT / "loadtest/locustfile.py")),
        *("--headless", "--only-summary", "--exit-code-on-error", "0", "--stop-timeout", "10"),
        *("--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"),
        *("--host", target.base_url, "--html", str(out / "report.html")),
    ]


def _locust_environment(plan: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOCUST_", "HPTS_"))
    }
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {"LOADTEST_PLAN": str(plan), "PYTHONPATH": os.pathsep.join(paths)}


def _wait(process: "subprocess.Popen[bytes]", seconds: int) -> None:
    """Until it ends by itself; whatever ends the waiting ends it."""
    try:
        process.wait(seconds)
    except BaseException:
        process.terminate()
        try:
            process.wait(LOCUST_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _report(chosen: argparse.Namespace, recording: Recording, out: Path) -> int:
    from loadtest.plot import draw  # noqa: PLC0415  (starts slowly, and only here is it needed)

    offered = chosen.users * REQUESTS_PER_USER_SECOND
    summary = summarise(
        recording, scenario=chosen.scenario, users=chosen.users, offered_per_second=offered
    )
    summary["finished_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    content = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    (out / "summary.json").write_bytes(content + b"\n")
    title = f"{chosen.scenario}: {offered} requests/s offered for {chosen.seconds} s"
    draw(recording, title, out / "percentiles.png")
    print(table(summary))
    final = summary["final_balances"]
    print(f"\nBalances read after the run: {final['checked']}, wrong: {final['wrong']}")
    for error in summary["errors"]:
        print("{count} x {operation} ({tenant}): {reason}".format(**error))
    for warning in summary["warnings"]:
        print(f"Warning: {warning}")
    print(f"Report, plot and summary are in {out}")
    for broken in summary["broken_objectives"]:
        print(f"NOT KEPT: {broken}")
    if not summary["broken_objectives"]:
        print("Every objective was kept.")
    return 1 if summary["broken_objectives"] else 0


def _interrupt(*_: Any) -> None:
    """Once: an impatient second Ctrl-C would leave behind what the first is just stopping."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
