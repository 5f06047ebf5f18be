"""A command that lacks what it needs ends with one clear message, and says how to get it."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import clean_environment

from .processes import (
    UNKNOWN_TENANT,
    check_message,
    quiet_port,
    run_hpts,
)


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing runs."""
    return clean_environment(HPTS_STATE_DIR=str(tmp_path / "state"), HPTS_PORT=str(quiet_port()))


def test_a_taken_port_is_named_with_the_way_out(empty: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in ("dev", "serve"):
            serving = {
                "HPTS_PORT": port,
                "HPTS_DATABASE_URL": "host=/nowhere",
                "HPTS_ISSUER": "x",
                "HPTS_JWKS_URL": "file:///nowhere",
            }
            environment = empty | (serving if command == "serve" else {"HPTS_PORT": port})
            ran = run_hpts(command, environment=environment, folder=tmp_path)
            if command == "dev":
                check_message(ran, 1, f"127.0.0.1:{port}", "HPTS_PORT")
            else:
                check_message(ran, 1)
        assert not (tmp_path / "state" / "postgres").exists()


@pytest.mark.parametrize(
    "command", [["migrate"], ["tenant", "list"], ["verify"], ["tenant", "add", "--name", "x"]]
)
def test_without_a_database_a_command_says_how_to_get_one(
    command: list[str], empty: dict[str, str], tmp_path: Path
) -> None:
    ran = run_hpts(*command, environment=empty, folder=tmp_path)
    check_message(ran, 1, "HPTS_DATABASE_URL", "hpts dev", str(tmp_path / "state"))


def test_a_database_that_does_not_answer_is_said_so(empty: dict[str, str], tmp_path: Path) -> None:
    url = {"HPTS_DATABASE_URL": f"host={tmp_path} user=somebody password=sekret"}
    ran = run_hpts("tenant", "list", environment=empty | url, folder=tmp_path)
    check_message(ran, 1, "hpts tenant: the database said:", str(tmp_path))
    assert "sekret" not in ran.stdout + ran.stderr


def test_serving_says_everything_that_is_missing(empty: dict[str, str], tmp_path: Path) -> None:
    ran = run_hpts("serve", environment=empty, folder=tmp_path)
    check_message(ran, 1, "HPTS_DATABASE_URL", "HPTS_ISSUER", "HPTS_JWKS_URL", "hpts dev")


def test_serving_on_an_empty_database_says_to_migrate(
    new_database: Callable[[], str], empty: dict[str, str], tmp_path: Path
) -> None:
    serving = {
        "HPTS_DATABASE_URL": new_database(),
        "HPTS_ISSUER": "x",
        "HPTS_JWKS_URL": "file:///nowhere",
    }
    ran = run_hpts("serve", environment=empty | serving, folder=tmp_path)
    check_message(ran, 1, "hpts migrate")


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("HPTS_PROT", "3000", "not a setting"),
        ("HPTS_PORT", "70000", "from 1 to 65535"),
        ("HPTS_PORT", "-1", "whole number"),
        ("HPTS_WORKERS", "0", "from 1"),
        ("HPTS_JWT_ALGORITHMS", "HS256", "asymmetric"),
        ("HPTS_JWT_ALGORITHMS", "none", "asymmetric"),
        ("HPTS_LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("HPTS_MAX_BODY_BYTES", "99999999", "2097152"),
        ("HPTS_SERVER_TIMING", "yes", "true or false"),
        ("HPTS_JWKS_URL", "issuer.example.com", "https"),
        ("HPTS_GIT_SHA", "HEAD", "hexadecimal"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_every_command(
    empty: dict[str, str], tmp_path: Path, name: str, value: str, meaning: str
) -> None:
    ran = run_hpts("config", environment=empty | {name: value}, folder=tmp_path)
    check_message(ran, 1, name, meaning)


def test_all_bad_settings_are_named_at_once(empty: dict[str, str], tmp_path: Path) -> None:
    bad = {"HPTS_PORT": "x", "HPTS_WORKERS": "x", "HPTS_NONSENSE": "x"}
    ran = run_hpts("dev", environment=empty | bad, folder=tmp_path)
    check_message(ran, 1, *bad)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://hpts:sekret@db.example.com/hpts",
        "postgresql://hpts:sek%40ret@db.example.com/hpts",
        "postgresql://db.example.com/hpts?user=hpts&password=sekret",
        "host=db.example.com password=sekret dbname=hpts",
        "host=db.example.com password = sekret dbname=hpts",
        r"host=db.example.com password='sek ret\'sekret' dbname=hpts",
        "host=db.example.com sslpassword=sekret dbname=hpts",
        "postgresql://hpts:sek@ret@db.example.com/hpts",
    ],
)
def test_the_shown_configuration_masks_the_database_password(
    empty: dict[str, str], tmp_path: Path, url: str
) -> None:
    ran = run_hpts("config", environment=empty | {"HPTS_DATABASE_URL": url}, folder=tmp_path)
    assert ran.returncode == 0
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("HPTS_DATABASE_URL")]
    assert "sek" not in line and "ret@" not in line and "***" in line, line
    assert "db.example.com" in line


def test_the_shown_configuration_masks_a_password_in_the_key_sets_url(
    empty: dict[str, str], tmp_path: Path
) -> None:
    url = "https://hpts:sekret@issuer.example.com/jwks.json"
    ran = run_hpts("config", environment=empty | {"HPTS_JWKS_URL": url}, folder=tmp_path)
    assert ran.returncode == 0
    assert "sekret" not in ran.stdout and "issuer.example.com/jwks.json" in ran.stdout


def test_the_shown_configuration_lists_every_setting(empty: dict[str, str], tmp_path: Path) -> None:
    ran = run_hpts("config", environment=empty | {"HPTS_WORKERS": "7"}, folder=tmp_path)
    names = [line.partition("=")[0] for line in ran.stdout.splitlines()]
    assert len(names) == len(set(names)) and all(name.startswith("HPTS_") for name in names)
    assert "HPTS_WORKERS=7 " in ran.stdout


def test_an_unknown_scope_is_said_so(empty: dict[str, str], tmp_path: Path) -> None:
    asked = ("token", "--tenant", UNKNOWN_TENANT, "--scope", "hpts:everything")
    ran = run_hpts(*asked, environment=empty, folder=tmp_path)
    check_message(ran, 1, "hpts:everything", "hpts:payments:write")
    assert ran.stdout == ""


@pytest.mark.parametrize("command", [["dev"], ["token", "--tenant", UNKNOWN_TENANT, "--scope"]])
def test_a_state_directory_that_cannot_be_used_is_said_so(
    empty: dict[str, str], tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "state").write_text("not a folder")
    arguments = [*command, "hpts:ledger:read"] if len(command) > 1 else command
    ran = run_hpts(*arguments, environment=empty, folder=tmp_path)
    check_message(ran, 1, str(tmp_path / "state"))


def test_a_token_is_issued_without_a_database(empty: dict[str, str], tmp_path: Path) -> None:
    arguments = ("token", "--tenant", UNKNOWN_TENANT, "--scope", "hpts:loans:read")
    issued = run_hpts(*arguments, environment=empty, folder=tmp_path)
    assert (issued.returncode, issued.stderr) == (0, "")
    away = empty | {"HPTS_DATABASE_URL": "postgresql://127.0.0.1:1/hpts"}
    issued = run_hpts(*arguments, environment=away, folder=tmp_path)
    assert issued.returncode == 0
    assert issued.stdout.count(".") == 2
    assert "not in the audit record" in issued.stderr
