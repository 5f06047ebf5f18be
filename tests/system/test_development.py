"""`hpts dev` and the commands beside it, used the way a newcomer uses them.

Each command must end with what it promises or with one clear message, never with a traceback.
"""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpts.http.webhook_secrets import WebhookKey
from tests.conftest import needs_curl
from tests.relay.world import Receiver

from .payers import Client, Loan, loan_body, open_loans, payment_body
from .processes import (
    UNKNOWN_TENANT,
    Development,
    answers,
    check_message,
    descendants,
    developing,
    quiet_port,
    signal_group,
    wait_until,
    wait_until_gone,
)

SECOND_START_SECONDS_MAX = 2.0
ALL_STOPPED_SECONDS_MAX = 30


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """One that the tests of this module share."""
    with developing(tmp_path_factory.mktemp("development"), quiet_port()) as started:
        yield started


def fetch(url: str, **options: object) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, **options)  # type: ignore[arg-type]
    with urllib.request.urlopen(request, timeout=10) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status, headers, response.read()


def printed_commands(announced: str) -> list[str]:
    """The `export` line and the curl commands, each with its continued lines."""
    lines = iter(announced.splitlines())
    found = []
    for line in lines:
        if line.startswith(("export ", "curl ")):
            command = line
            while command.endswith("\\"):
                command += "\n" + next(lines)
            found.append(command)
    return found


def entries_of(development: Development) -> set[tuple[str, int]]:
    """(loan, principal owed) of what `post_something` posted."""
    client = Client(development.port, development.token)
    found = set()
    for loan_id in (development.folder / "loans").read_text().split():
        reply = client.get(f"/v1/loans/{loan_id}/balance")
        assert reply.status == 200, reply
        found.add((loan_id, int(json.loads(reply.body)["principal_outstanding_minor"])))
    client.close()
    return found


def post_something(development: Development) -> None:
    loans = open_loans(development.port, development.token, 3)
    with (development.folder / "loans").open("a") as file:
        file.writelines(f"{loan.loan_id}\n" for loan in loans)


@needs_curl
def test_the_printed_commands_post_when_pasted_into_a_shell(development: Development) -> None:
    assert development.printed("Base URL") == f"{development.base_url}/v1"
    commands = printed_commands(development.announced)
    assert [command.split()[0] for command in commands] == ["export", "curl", "curl"]
    script = "\n".join(f"{command}\necho" for command in commands)
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False
    )
    assert shell.returncode == 0, shell.stderr
    disbursed, paid = (json.loads(line) for line in shell.stdout.split("\n") if line)
    assert disbursed["disbursement_event_id"] and disbursed["journal_entry_id"]
    assert paid["allocation"]["principal_minor"] == "2500"


def test_the_printed_client_gets_a_token_that_works(development: Development) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": development.printed("Client id"),
        "client_secret": development.printed("Client secret"),
        "scope": "hpts:disbursements:write",
    }
    status, headers, body = fetch(
        f"{development.base_url}/oauth2/token", data=urllib.parse.urlencode(form).encode()
    )
    assert (status, headers["cache-control"]) == (200, "no-store")
    granted = json.loads(body)
    assert granted["token_type"] == "Bearer"
    open_loans(development.port, granted["access_token"], 1)
    client = Client(development.port, granted["access_token"])
    assert client.get(f"/v1/loans/{uuid.uuid4()}/balance").code == "insufficient_scope"
    client.close()


def test_a_wrong_client_secret_is_refused(development: Development) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": development.printed("Client id"),
        "client_secret": "wrong",
    }
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(f"{development.base_url}/oauth2/token", data=urllib.parse.urlencode(form).encode())
    assert refused.value.code == 401
    assert json.loads(refused.value.read())["error"] == "invalid_client"


def test_the_key_set_has_public_keys_only(development: Development) -> None:
    status, _, body = fetch(f"{development.base_url}/.well-known/jwks.json")
    assert status == 200
    (key,) = json.loads(body)["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


def test_the_api_page_comes_with_everything_that_it_names(development: Development) -> None:
    status, headers, page = fetch(f"{development.base_url}/docs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', page.decode()))
    assert any(name.endswith(".js") for name in named), named
    for name in named:
        assert name.startswith("/"), f"{name} is not on this server"
        status, headers, body = fetch(development.base_url + name)
        assert status == 200 and body
    status, _, document = fetch(f"{development.base_url}/v1/openapi.json")
    assert json.loads(document)["openapi"].startswith("3.")


def test_a_token_command_prints_a_token_that_works_and_nothing_else(
    development: Development,
) -> None:
    tenant_id = development.printed("Demo tenant")
    scope = "hpts:disbursements:write hpts:balances:read"
    made = development.run("token", "--tenant", tenant_id, "--scope", scope)
    assert (made.returncode, made.stderr) == (0, "")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", made.stdout)
    open_loans(development.port, made.stdout.strip(), 1)


def test_tenants_are_added_listed_suspended_and_resumed(development: Development) -> None:
    added = development.run("tenant", "add", "--name", "A lender, Ltd.")
    assert re.fullmatch(r"[0-9a-f-]{36}\n", added.stdout), added
    tenant_id = added.stdout.strip()
    scope = "hpts:disbursements:write"
    token = development.run("token", "--tenant", tenant_id, "--scope", scope).stdout.strip()
    open_loans(development.port, token, 1)
    client = Client(development.port, token)
    for action, listed, expected in (("suspend", "suspended", 403), ("resume", "active", 201)):
        changed = development.run("tenant", action, "--tenant", tenant_id)
        assert changed.returncode == 0, changed
        (line,) = [
            line
            for line in development.run("tenant", "list").stdout.splitlines()
            if line.startswith(tenant_id)
        ]
        assert listed in line.split() and line.endswith("A lender, Ltd.")
        loan = Loan(str(uuid.uuid4()), str(uuid.uuid4()))
        body = loan_body(loan, 5) | {"method": "wire"}
        reply = client.post("/v1/disbursements", f"after:{action}:{loan.loan_id}", body)
        assert reply.status == expected, reply
    client.close()


def test_the_books_of_the_running_database_verify(development: Development) -> None:
    open_loans(development.port, development.token, 2)
    verified = development.run("verify")
    assert verified.returncode == 0, verified
    assert "sound: all" in verified.stdout and "FAILED" not in verified.stdout
    assert development.printed("Demo tenant") in verified.stdout


def test_migrating_the_running_database_again_changes_nothing(development: Development) -> None:
    migrated = development.run("migrate")
    assert (migrated.returncode, migrated.stdout) == (0, "The schema is up to date.\n"), migrated


def test_the_demo_runs_against_it_and_agrees(development: Development) -> None:
    ran = development.run("demo", "--loans", "6", "--months", "1", "--seed", "3")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    for part in ("Trial balance USD", "Reconciliation as of", "ledger integrity", "postings/s"):
        assert part in ran.stdout, ran.stdout
    assert "DISAGREEMENT" not in ran.stdout


def test_the_demo_says_where_it_looked_for_a_server(development: Development) -> None:
    ran = development.run("demo", "--loans", "1", "--months", "1", "--url", "http://127.0.0.1:9")
    check_message(ran, 1, "127.0.0.1:9")


def test_a_second_one_on_the_same_state_says_that_one_runs(development: Development) -> None:
    second = development.run("dev", HPTS_PORT=str(quiet_port()))
    check_message(second, 1, "already running", str(development.process.pid), "HPTS_STATE_DIR")


def test_an_unknown_tenant_is_said_so(development: Development) -> None:
    suspended = development.run("tenant", "suspend", "--tenant", UNKNOWN_TENANT)
    check_message(suspended, 1, UNKNOWN_TENANT, "hpts tenant list")
    verified = development.run("verify", "--tenant", UNKNOWN_TENANT)
    check_message(verified, 2, UNKNOWN_TENANT, "hpts tenant list")
    check_message(development.run("verify", "--tenant", "x"), 2, "--tenant", "UUID")


def test_the_second_start_is_fast_and_keeps_the_books(tmp_path: Path) -> None:
    port, seconds = quiet_port(), []
    with developing(tmp_path, port) as first:
        first_token, first_tenant = first.token, first.printed("Demo tenant")
        post_something(first)
        kept = entries_of(first)
    assert len(kept) == 3
    for _ in range(5):  # again where the machine was busy
        with developing(tmp_path, port) as second:
            seconds.append(second.ready_seconds)
            assert second.printed("Demo tenant") == first_tenant
            assert entries_of(second) == kept
            client = Client(port, first_token)
            loan_id = next(iter(kept))[0]
            assert client.get(f"/v1/loans/{loan_id}/balance").status == 200
            client.close()
        if seconds[-1] < SECOND_START_SECONDS_MAX:
            break
    print(f"first start {first.ready_seconds:.2f} s, then {seconds}")
    assert min(seconds) < SECOND_START_SECONDS_MAX


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_of_it(tmp_path: Path, number: int) -> None:
    with developing(tmp_path, quiet_port()) as development:
        processes = development.processes()
        assert any("postgres" in process.command for process in processes)
        assert development.stop(number) == 0, development.log[-2000:]
        wait_until_gone(processes, ALL_STOPPED_SECONDS_MAX)
        assert not answers(f"{development.base_url}/v1/health/live")
        assert "Traceback" not in development.log
        signal_group_is_empty(development)


def signal_group_is_empty(development: Development) -> None:
    with pytest.raises(ProcessLookupError):
        signal_group(development.process, 0)


def test_ctrl_c_in_its_terminal_stops_all_of_it(tmp_path: Path) -> None:
    with developing(tmp_path, quiet_port()) as development:
        processes = development.processes()
        signal_group(development.process, signal.SIGINT)
        assert development.process.wait(60) == 0, development.log[-2000:]
        wait_until_gone(processes, ALL_STOPPED_SECONDS_MAX)
        assert "Traceback" not in development.log


def test_what_was_killed_leaves_nothing_in_the_way_of_the_next_start(tmp_path: Path) -> None:
    port = quiet_port()
    with developing(tmp_path, port) as killed:
        post_something(killed)
        kept = entries_of(killed)
        left = killed.kill()
        assert any("postgres" in process.command for process in left)
        with developing(tmp_path, port) as second:
            wait_until_gone(left, 0)
            assert entries_of(second) == kept
            post_something(second)
            assert len(entries_of(second)) == 6
            assert second.run("verify").returncode == 0
            own = second.processes()
    wait_until_gone(own, ALL_STOPPED_SECONDS_MAX)
    assert not descendants(killed.process.pid)


def test_it_serves_on_an_ipv6_address(tmp_path: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    port = quiet_port()
    with developing(tmp_path, port, environment={"HPTS_HOST": "::1"}) as development:
        assert development.printed("Base URL") == f"http://[::1]:{port}/v1"
        status, _, _ = fetch(f"{development.printed('Base URL')}/health/ready")
        assert status == 200


def test_a_payment_posted_by_hand_is_in_the_journal(development: Development) -> None:
    (loan,) = open_loans(development.port, development.token, 1)
    client = Client(development.port, development.token)
    paid = client.post("/v1/payments", f"hand:{loan.loan_id}", payment_body(loan, 11))
    assert paid.status == 201
    entry = client.get(paid.headers["location"])
    assert (entry.status, json.loads(entry.body)["event_type"]) == (200, "payment_received")
    client.close()


def test_keys_that_are_made_and_used_and_tokens_that_are_issued_are_recorded(
    development: Development,
) -> None:
    arguments = ("--tenant", UNKNOWN_TENANT, "--scope", "hpts:loans:read", "--subject", "auditor")
    issued = development.run("token", *arguments)
    assert (issued.returncode, issued.stderr) == (0, "")
    listed = development.run("audit", "list", "--json", "--tenant", str(uuid.UUID(int=0)))
    jwks = json.loads((development.folder / "state" / "issuer" / "jwks.json").read_text())
    signing = f"signing key {jwks['keys'][0]['kid']}"
    events = [json.loads(line) for line in listed.stdout.splitlines()]
    used = {event["subject"] for event in events if event["action"] == "key.use"}
    made = {event["subject"] for event in events if event["action"] == "key.create"}
    assert made == {signing, *used}
    assert {subject.rpartition(" ")[0] for subject in used} == {"checkpoint key", "webhook key"}
    webhook_key = WebhookKey.load(development.folder / "state" / "issuer" / "webhook.key")
    assert f"webhook key {webhook_key.fingerprint}" in used
    (token,) = [event for event in events if event["subject"] == "auditor"]
    assert token["action"] == "token.issue"
    assert token["details"] == {
        "tenant_id": UNKNOWN_TENANT, "scope": "hpts:loans:read", "expires_in": 3600
    }  # fmt: skip
    assert issued.stdout.strip() not in listed.stdout


def test_a_posting_arrives_at_a_receiver_on_this_machine_also_after_the_relay_was_killed(
    development: Development, tmp_path: Path
) -> None:
    receiver = Receiver(tmp_path)
    receiver.start()
    client = Client(development.port, development.token)
    try:
        body: dict[str, object] = {"url": receiver.url}
        made = client.post("/v1/webhook-endpoints", f"hook:{uuid.uuid4()}", body)
        assert made.status == 201, made
        (loan,) = open_loans(development.port, development.token, 1)
        for number in range(2):
            key, paid_body = f"hook:{loan.loan_id}:{number}", payment_body(loan, 11)
            paid = client.post("/v1/payments", key, paid_body)
            entry_id = json.loads(paid.body)["journal_entry_id"]
            wait_until(lambda: entry_id in receiver.accepted(), "the entry")  # noqa: B023
            (relay,) = relays(development)
            os.kill(relay, signal.SIGKILL)
    finally:
        client.close()
        receiver.kill()


def relays(development: Development) -> list[int]:
    """Only the relay, of all that runs, is nicer than what it was started by."""
    below = [process.pid for process in descendants(development.process.pid)]
    usual = os.getpriority(os.PRIO_PROCESS, development.process.pid)
    return [pid for pid in below if os.getpriority(os.PRIO_PROCESS, pid) > usual]
