"""The open-loop generator's accounting, against a server that does what a test says."""

import asyncio
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import uvloop

from loadtest.arrivals import Loan, Plan, intended_times
from loadtest.open_loop import Result, main, read_loans, run

from .tiny_server import Answering, Received, reply, tiny_server

LOANS = (Loan("loan-1", "borrower-1"), Loan("loan-2", "borrower-2"))
FIELDS = {"loan_id", "borrower_id", "amount_minor", "currency", "effective_at", "source_method"}


def plan_for(base_url: str, **changes: object) -> Plan:
    fields = {"rate": 400.0, "seconds": 0.25, "connections": 4, "spacing": "even"}
    return Plan(base_url=base_url, token="t", loans=LOANS, **(fields | changes))  # type: ignore[arg-type]


def run_against(answering: Answering, **changes: object) -> tuple[Result, list[Received]]:
    async def against() -> tuple[Result, list[Received]]:
        async with tiny_server(answering) as (base_url, received):
            return await run(plan_for(base_url, **changes)), received

    return uvloop.run(against())


def always(answer: bytes) -> Answering:
    async def answering(_: Received) -> bytes:
        return answer

    return answering


STALL = {"rate": 100.0, "seconds": 1.0}


def delaying(number: int, seconds: float) -> Answering:
    async def answering(request: Received) -> bytes:
        if request.number == number:
            await asyncio.sleep(seconds)
        return reply(201)

    return answering


def test_a_server_that_keeps_up_is_measured_without_errors() -> None:
    result, received = run_against(always(reply(201)))
    assert (result.intended, result.sent, result.answered, result.errors) == (100, 100, 100, {})
    assert len(received) == 100
    assert result.offered_per_second == 400
    assert 200 < result.achieved_per_second <= 400
    assert result.p50_ms is not None and result.p50_ms < 200


def test_a_stall_is_charged_to_every_request_that_should_have_been_sent_meanwhile() -> None:
    # One connection, a request every 10 ms, the 20th answer 500 ms late: the 50 requests due
    # meanwhile cannot be sent, and waited 490, 480, ... ms. A closed loop would show one slow one.
    result, _ = run_against(delaying(20, 0.5), connections=1, **STALL)
    assert (result.answered, result.errors) == (100, {})
    assert result.max_ms is not None and result.max_ms >= 500
    assert result.p50_ms is not None and result.p50_ms < 200
    # 40 of 100 waited longer than 100 ms, 10 of 100 longer than 400 ms
    assert result.p90_ms is not None and 300 <= result.p90_ms <= 500
    assert result.lateness_p99_ms is not None and result.lateness_p99_ms >= 400
    assert result.waited_for_connection >= 45


def test_the_generator_does_not_blame_itself_for_a_stalled_server() -> None:
    result, _ = run_against(delaying(20, 0.5), connections=1, **STALL)
    assert result.generator_lateness_p99_ms is not None
    assert result.lateness_p99_ms is not None
    assert result.generator_lateness_p99_ms < result.lateness_p99_ms / 2


def test_other_connections_carry_on_during_a_stall() -> None:
    result, _ = run_against(delaying(20, 0.5), connections=8, **STALL)
    assert result.max_ms is not None and result.max_ms >= 500
    assert result.p90_ms is not None and result.p90_ms < 300
    assert result.waited_for_connection == 0


def test_errors_are_counted_by_status() -> None:
    async def answering(request: Received) -> bytes:
        return reply({0: 503, 1: 503, 2: 422}.get(request.number % 10, 201))

    result, _ = run_against(answering)
    assert result.errors == {"503": 20, "422": 10}
    assert result.answered == 100
    assert 140 < result.achieved_per_second <= 280


def test_a_replay_is_not_what_a_new_posting_should_get() -> None:
    result, _ = run_against(always(reply(200)))
    assert result.errors == {"200": 100}


def test_a_lost_connection_is_an_error_and_another_is_opened() -> None:
    async def answering(request: Received) -> bytes | None:
        return None if request.number % 10 == 5 else reply(201)

    result, received = run_against(answering, connections=2)
    assert result.errors == {"connection_lost": 10}
    assert (result.sent, result.answered, len(received)) == (100, 90, 100)


def test_an_answer_that_closes_the_connection_is_the_last_on_it() -> None:
    result, received = run_against(always(reply(201, more=b"Connection: close\r\n")), connections=2)
    assert (result.answered, result.errors, len(received)) == (100, {}, 100)


@pytest.mark.parametrize("pieces", [2, 7, 30])
def test_an_answer_in_pieces_is_one_answer(pieces: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = reply(201, b"x" * 100)
        step = -(-len(answer) // pieces)
        while await reader.read(64 * 1024):
            for start in range(0, len(answer), step):
                writer.write(answer[start : start + step])
                await asyncio.sleep(0.001)

    async def against() -> Result:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await run(plan_for(f"http://127.0.0.1:{port}", rate=80.0, connections=2))
        finally:
            server.close()

    result = asyncio.run(against())
    assert (result.answered, result.errors) == (20, {})


def test_answers_that_never_come_are_counted_with_the_time_they_were_waited_for() -> None:
    async def answering(request: Received) -> bytes:
        if request.number == 10:
            await asyncio.sleep(60)
        return reply(201)

    result, _ = run_against(answering, connections=1, answer_seconds_max=0.3)
    assert (result.answered, result.errors) == (10, {"unanswered": 90})
    assert result.sent == 11
    assert result.max_ms is not None and result.max_ms >= 500


def test_the_warm_up_is_sent_and_not_counted() -> None:
    async def answering(request: Received) -> bytes:
        return reply(503 if request.number < 30 else 201)

    result, received = run_against(answering, warm_up_seconds=0.125)
    assert len(received) == 150
    assert result.intended == result.sent == result.answered == 100
    assert result.errors == {}


def test_every_request_is_a_payment_under_a_key_of_its_own() -> None:
    _, received = run_against(always(reply(201)))
    keys = {
        key for request in received for key in re.findall(rb"Idempotency-Key: (.*)\r", request.head)
    }
    assert len(keys) == len(received) == 100
    assert all(re.fullmatch(rb"[A-Za-z0-9][A-Za-z0-9._:\-]{7,254}", key) for key in keys)
    bodies = [msgspec.json.decode(request.body) for request in received]
    assert {body["loan_id"] for body in bodies} == {"loan-1", "loan-2"}
    assert all(set(body) == FIELDS and body["amount_minor"] == "100" for body in bodies)
    assert all(b"POST /v1/payments HTTP/1.1\r\n" in request.head for request in received)
    assert all(b"Authorization: Bearer t\r\n" in request.head for request in received)


def test_reads_ask_for_the_balances_of_the_loans() -> None:
    result, received = run_against(always(reply(200)), method="GET")
    assert result.errors == {}
    paths = {request.head.split(b" ")[1] for request in received}
    assert paths == {b"/v1/loans/loan-1/balance", b"/v1/loans/loan-2/balance"}
    assert all(request.body == b"" for request in received)


def test_two_plans_run_side_by_side() -> None:
    async def against() -> list[Result]:
        async with tiny_server(always(reply(201))) as (base_url, _):
            quiet, busy = plan_for(base_url, rate=40.0), plan_for(base_url)
            return await asyncio.gather(run(quiet), run(busy))

    quiet, busy = uvloop.run(against())
    assert (quiet.answered, busy.answered) == (10, 100)


def test_even_arrivals_are_evenly_spaced() -> None:
    times_ns = list(intended_times(plan_for("http://host", rate=1000.0, seconds=0.5)))
    assert len(times_ns) == 500
    assert {later - earlier for earlier, later in itertools.pairwise(times_ns)} == {1_000_000}


def test_poisson_arrivals_have_the_rate_and_are_not_even() -> None:
    plan = plan_for("http://host", rate=1000.0, seconds=20.0, spacing="poisson")
    times_ns = list(intended_times(plan))
    gaps_ns = [later - earlier for earlier, later in itertools.pairwise(times_ns)]
    assert len(times_ns) == pytest.approx(20_000, rel=0.05)
    # of exponential gaps 1 - 1/e are shorter than their mean, of even ones about half
    shorter = sum(gap_ns < 1_000_000 for gap_ns in gaps_ns) / len(gaps_ns)
    assert shorter == pytest.approx(0.632, abs=0.03)
    assert list(intended_times(plan)) == times_ns


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_url": "https://host"}, "http://"),
        ({"loans": ()}, "no loan"),
        ({"rate": 0.0}, "above zero"),
        ({"connections": 0}, "above zero"),
        ({"method": "PUT"}, "POST or GET"),
        ({"spacing": "random"}, "poisson or even"),
        ({"warm_up_seconds": -1.0}, "negative"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(
    changes: dict[str, object], said: str
) -> None:
    fields = {"base_url": "http://host", "token": "t", "loans": LOANS, "rate": 1.0, "seconds": 1.0}
    with pytest.raises(ValueError, match=said):
        Plan(**(fields | changes))  # type: ignore[arg-type]


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(OSError):
        uvloop.run(run(plan_for("http://127.0.0.1:1")))


def test_the_command_prints_one_json_object(tmp_path: Path) -> None:
    async def against(act: Callable[[str], Awaitable[tuple[int, bytes]]]) -> tuple[int, bytes]:
        async with tiny_server(always(reply(201))) as (base_url, _):
            return await act(base_url)

    loans = tmp_path / "loans"
    loans.write_text("loan-1 borrower-1\nloan-2 borrower-2\n")

    async def command(base_url: str) -> tuple[int, bytes]:
        arguments = ["--rate", "200", "--seconds", "0.25", "--warm-up", "0.1", "--spacing", "even"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadtest.open_loop", base_url, "token", str(loans)),
            *arguments,
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out

    status, out = asyncio.run(against(command))
    printed = json.loads(out)
    assert status == 0
    assert (printed["intended"], printed["answered"], printed["errors"]) == (50, 50, {})


def test_wrong_usage_ends_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "loans"
    broken.write_text("only-one-field\n")
    with pytest.raises(SystemExit) as ended:
        main(["http://host", "token", str(broken), "--rate", "1"])
    assert ended.value.code == 2
    assert "line 1" in capsys.readouterr().err


def test_a_loans_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "loans"
    path.write_text("a b\nc d\n")
    assert read_loans(path) == [Loan("a", "b"), Loan("c", "d")]
