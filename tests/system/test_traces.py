"""HPTS_TRACES=otlp of a real server: what a collector receives, and that nobody waits for one."""

import http.server
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hpts.http.issuer import DevelopmentIssuer

from .payers import Client
from .processes import quiet_port, serving, wait_until

STOP_SECONDS_MAX = 15


class Collector:
    """Takes spans over OTLP/HTTP as a collector does; one that `hangs` answers nobody."""

    def __init__(self, *, hangs: bool) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.is_over = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if hangs:
                    collector.is_over.wait(30)
                else:
                    collector.take(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, body: bytes) -> None:
        for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                attribute.value.string_value
                for attribute in of_process.resource.attributes
                if attribute.key == "service.name"
            }
            for scope in of_process.scope_spans:
                self.spans += scope.spans

    def names(self) -> set[str]:
        return {span.name for span in self.spans}

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(params=[False])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    made = Collector(hangs=request.param)
    yield made
    made.close()


def pay(port: int, token: str, trace_id: str) -> int:
    """Open a loan in a trace; the status."""
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    body: dict[str, object] = {
        "loan_id": str(uuid.uuid4()),
        "borrower_id": str(uuid.uuid4()),
        "amount_minor": "100",
        "currency": "USD",
        "effective_at": time.strftime("%Y-%m-%d", time.gmtime()),
        "method": "ach",
    }
    client = Client(port, token, headers=headers)
    status = client.post("/v1/disbursements", str(uuid.uuid4()), body).status
    client.close()
    return status


def test_a_collector_receives_the_request_s_trace_and_the_batch_that_links_to_it(
    database_url: str,
    issuer: DevelopmentIssuer,
    tmp_path: Path,
    issue_token: Callable[..., str],
    new_tenant: Callable[[], str],
    collector: Collector,
) -> None:
    port, trace_id = quiet_port(), uuid.uuid4().hex
    variables = {
        "HPTS_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with serving(database_url, issuer, tmp_path / "log", port, **variables):
        assert pay(port, issue_token(new_tenant()), trace_id) == 201
        wanted = {"POST /v1/disbursements", "auth", "lane wait", "in its batch", "batch"}
        wanted |= {"first pipeline", "decide", "second pipeline and commit"}
        wait_until(lambda: wanted <= collector.names(), "every span")
    of_request = [span for span in collector.spans if span.trace_id.hex() == trace_id]
    assert {span.name for span in of_request} == {
        "POST /v1/disbursements",
        "auth",
        "lane wait",
        "in its batch",
    }
    (request,) = [span for span in of_request if span.kind == Span.SPAN_KIND_SERVER]
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    (batch,) = [span for span in collector.spans if span.name == "batch"]
    assert [(link.trace_id.hex(), link.span_id) for link in batch.links] == [
        (trace_id, request.span_id)
    ]
    assert collector.services == {"hpts"}


@pytest.mark.parametrize("collector", [True], indirect=True)
def test_a_collector_that_hangs_delays_neither_requests_nor_the_stop(
    database_url: str,
    issuer: DevelopmentIssuer,
    tmp_path: Path,
    issue_token: Callable[..., str],
    new_tenant: Callable[[], str],
    collector: Collector,
) -> None:
    port, token = quiet_port(), issue_token(new_tenant())
    variables = {
        "HPTS_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "OTEL_BSP_MAX_QUEUE_SIZE": "16",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
    }
    with serving(database_url, issuer, tmp_path / "log", port, **variables) as server:
        for _ in range(50):  # far more spans than may wait
            assert pay(port, token, uuid.uuid4().hex) == 201
        server.process.terminate()
        assert server.process.wait(STOP_SECONDS_MAX) == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert all(line.startswith("{") for line in lines), (
        "the exporter's complaints are lines as well"
    )
