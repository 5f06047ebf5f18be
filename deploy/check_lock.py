"""Installs from the locks as deploy/Dockerfile does, in a virtual environment of its own.

The steps are read from the Dockerfile itself: every RUN of its builder that runs Python. Then the
installed package must start, on psycopg's C implementation, and migrate the database of
HPTS_DATABASE_URL if that is set. `python deploy/check_lock.py FOLDER`.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGE_PYTHON = "/opt/hpts"
IMPLEMENTATION = "import psycopg; print(psycopg.pq.__impl__)"


def steps(dockerfile: str) -> list[list[str]]:
    """The builder's commands that make the environment and install into it."""
    builder = dockerfile.partition("AS builder")[2].partition("\nFROM ")[0]
    commands = [
        line.removeprefix("RUN ") for line in builder.splitlines() if line.startswith("RUN ")
    ]
    return [shlex.split(one) for one in commands if one.startswith(("python3 ", IMAGE_PYTHON))]


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    for step in steps((ROOT / "deploy" / "Dockerfile").read_text()):
        command = [part.replace(IMAGE_PYTHON, str(folder)) for part in step]
        if command[0] == "python3":
            command[0] = sys.executable
        say(command)
        subprocess.run(command, cwd=ROOT, check=True)
    program = str(folder / "bin" / "hpts")
    commands = [[program, "--version"], [str(folder / "bin" / "python"), "-m", "pip", "check"]]
    if "HPTS_DATABASE_URL" in os.environ:
        commands.append([program, "migrate"])
    for command in commands:
        say(command)
        subprocess.run(command, cwd=folder, check=True)
    python = str(folder / "bin" / "python")
    asked = subprocess.run(
        [python, "-c", IMPLEMENTATION], capture_output=True, text=True, check=True
    )
    if asked.stdout.strip() != "c":
        sys.exit(f"psycopg runs its {asked.stdout.strip()} implementation, not the one in C")
    print("the locks install, and what they install runs")


def say(command: list[str]) -> None:
    print("$", shlex.join(command), flush=True)


if __name__ == "__main__":
    main()
