"""Rules of the account that PostgreSQL takes when we are root, shown on real servers."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import hpts
from hpts.embedded import EmbeddedError, EmbeddedPostgres, running_url

OWNER = """
import time
from pathlib import Path
from hpts.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path({state_dir!r}), _root_ways=("drop",))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to take")


@pytest.fixture
def initialised(tmp_path: Path) -> Path:
    with EmbeddedPostgres(tmp_path / "initialised"):
        pass
    return tmp_path / "initialised"


def uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def write_word(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'safe' AS word")


def read_word(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT word FROM kept").fetchone()
    return row and row[0]


@pytest.fixture
def reachable_dir() -> Iterator[Path]:
    """A place that the user nobody can reach, which pytest's tmp_path is not for root."""
    with tempfile.TemporaryDirectory(prefix="hpts-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@as_root
def test_root_in_a_namespace_leaves_all_files_roots(initialised: Path) -> None:
    with EmbeddedPostgres(initialised, _root_ways=("namespace",)) as server:
        write_word(server.url)
        assert uid_of(server.pid) == 0
    assert {path.stat().st_uid for path in initialised.rglob("*")} == {0}


@as_root
def test_root_without_namespaces_hands_the_data_to_nobody_for_good(
    initialised: Path, reachable_dir: Path
) -> None:
    state_dir = Path(shutil.copytree(initialised, reachable_dir / "state"))
    with EmbeddedPostgres(state_dir, _root_ways=("drop",)) as server:
        write_word(server.url)
        assert uid_of(server.pid) == 65534
    assert {path.stat().st_uid for path in (state_dir / "postgres").rglob("*")} == {65534}
    with EmbeddedPostgres(state_dir) as server:
        assert uid_of(server.pid) == 65534
        assert read_word(server.url) == "safe"


@as_root
def test_a_server_of_nobody_is_made_afresh_and_ends_with_its_owner(reachable_dir: Path) -> None:
    state_dir = reachable_dir / "state"
    code = OWNER.format(state_dir=str(state_dir))
    environment = {**os.environ, "PYTHONPATH": str(Path(hpts.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment
    ) as owner:
        assert owner.stdout is not None
        assert int(owner.stdout.readline()) > 0
        assert running_url(state_dir) is not None
        owner.kill()
    with EmbeddedPostgres(state_dir) as server:
        assert uid_of(server.pid) == 65534


@as_root
def test_root_with_no_way_left_is_told_what_was_tried(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=r"(?s)as root.*cannot reach.*another user"):
        EmbeddedPostgres(closed / "state", _root_ways=("drop",)).start()
