"""The same requests to a server that decodes them and answers, and does nothing else.

granian with the settings of HPTS's own server, taken from it. The handler reads the body, decodes
it with the decoder of payments and answers 201 with a body as long as a payment's reply. The same
wrk script, token and key included. It shares the machine with an idle HPTS and PostgreSQL.
"""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec

from bench.report import wrk
from bench.report.figures import median, shown_number, spread
from bench.report.process_tree import cpu_of
from bench.report.programs import MeasurementFailed, running, say, tail_of
from bench.report.results import Results
from bench.report.run import Run
from loadtest.development_server import free_port

NAME = "noop"
TITLE = "The HTTP server alone: no-op"
CONNECTIONS = (1, 16, 64, 256)
READY_SECONDS_MAX = 30.0


class AtConnections(msgspec.Struct, frozen=True, kw_only=True):
    """All repetitions at one number of connections; `server_us` is CPU time a request."""

    connections: int
    loads: tuple[wrk.Load, ...]
    server_us: tuple[float, ...]

    @property
    def rate(self) -> float:
        return median([load.rate for load in self.loads])


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    interface: str
    reply_bytes: int
    runs: tuple[AtConnections, ...]

    def at(self, connections: int) -> AtConnections:
        """Raises MeasurementFailed where that number was not measured."""
        for found in self.runs:
            if found.connections == connections:
                return found
        raise MeasurementFailed(f"not measured at {connections} connections")


TARGETS = ()


def rate_at(connections: int, results: Results) -> float:
    return results.get(NAME, Figures).at(connections).rate


def cpu_us_at(connections: int, results: Results) -> float:
    """Server CPU time a request in microseconds, the median of the repetitions."""
    return median(results.get(NAME, Figures).at(connections).server_us)


def measure(run: Run) -> Figures:
    """Throughput and CPU time at each number of connections, in turns."""
    stage, plan = run.stage, run.plan
    reply_bytes = len(stage.reply_of_payment(run.loans()))
    found: dict[int, list[tuple[wrk.Load, float]]] = {count: [] for count in CONNECTIONS}
    with _noop_server(reply_bytes) as (base_url, process, interface):
        wrk.measure(base_url, run.payments(), connections=64, seconds=plan.warm_up_seconds)
        for _ in range(plan.repetitions):
            for count in CONNECTIONS:
                before = cpu_of(process.pid)
                load = wrk.measure(
                    base_url, run.payments(), connections=count, seconds=plan.noop_seconds
                )
                used = cpu_of(process.pid) - before
                if load.failed or not load.answered:
                    raise MeasurementFailed(f"the no-op failed {load.failed} requests")
                found[count].append((load, used.server / load.answered * 1e6))
                say(f"  {count} connections: {load.rate:,.0f}/s, {found[count][-1][1]:.1f} us")
    return Figures(
        interface=interface,
        reply_bytes=reply_bytes,
        runs=tuple(
            AtConnections(
                connections=count,
                loads=tuple(load for load, _ in pairs),
                server_us=tuple(microseconds for _, microseconds in pairs),
            )
            for count, pairs in found.items()
        ),
    )


@contextlib.contextmanager
def _noop_server(reply_bytes: int) -> Iterator[tuple[str, subprocess.Popen[bytes], str]]:
    """(base URL, process, interface) of a no-op that answers."""
    port = free_port()
    command = [sys.executable, "-m", "bench.report.noop_server", str(port), str(reply_bytes)]
    with running(command) as process:
        lines: list[bytes] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
        reader.start()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise MeasurementFailed(f"the no-op did not start: {tail_of(b' '.join(lines))}")
            time.sleep(0.05)
        marks = [line for line in lines if line.startswith(b"interface ")]
        interface = marks[0].split()[-1].decode() if marks else "unknown"
        yield f"http://127.0.0.1:{port}", process, interface


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    lines = [
        f"granian by its {figures.interface} interface, replies of {figures.reply_bytes} bytes.",
        "",
        "| connections | requests/s | spread | p50 ms | p99 ms | server CPU us a request |",
        "|---:|---:|---|---:|---:|---:|",
    ]
    for at in figures.runs:
        rates = [load.rate for load in at.loads]
        lines.append(
            f"| {at.connections} | {at.rate:,.0f} | {spread(rates)} "
            f"| {shown_number(median([load.p50_ms for load in at.loads]))} "
            f"| {shown_number(median([load.p99_ms for load in at.loads]))} "
            f"| {shown_number(median(at.server_us))} |"
        )
    return lines
