"""Writes the image's locks: requirements.lock of what runs, build.lock of what builds it.

Both come from pyproject.toml, in the versions of constraints.txt, with the hashes of all files of
each version, so that they hold on every processor and Python. In the image psycopg is its C
implementation, compiled there, and not the wheel that brings a libpq of its own. Remove a lock to
have all its hashes fetched anew.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wanted() -> dict[str, list[str]]:
    """Requirements by the name of their lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = [one.replace("[binary]", "[c]") for one in project["project"]["dependencies"]]
    return {"requirements": runtime, "build": project["build-system"]["requires"]}


def main() -> None:
    for name, requirements in wanted().items():
        lock = ROOT / "deploy" / f"{name}.lock"
        with tempfile.TemporaryDirectory() as folder:
            source, made = Path(folder) / f"{name}.in", Path(folder) / f"{name}.lock"
            source.write_text("\n".join(requirements) + "\n")
            if lock.exists():  # what stays in its version keeps its hashes, which are slow to fetch
                shutil.copy(lock, made)
            compile_lock(source, made)
            lines = made.read_text().splitlines()
        kept = [line for line in lines if not line.startswith("#")]
        head = "# By `make lock`, of pyproject.toml and constraints.txt; never by hand."
        lock.write_text("\n".join((head, *kept)) + "\n")
        print(f"deploy/{name}.lock: {sum('==' in line for line in kept)} packages")


def compile_lock(source: Path, made: Path) -> None:
    options = ["--quiet", "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-annotate"]
    options += ["--no-config", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    options += ["--no-emit-trusted-host", "-c", str(ROOT / "constraints.txt")]
    asked = [sys.executable, "-m", "piptools", "compile", *options, "-o", str(made), str(source)]
    subprocess.run(asked, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
