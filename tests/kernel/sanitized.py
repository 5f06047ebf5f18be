"""The kernel built under AddressSanitizer and UndefinedBehaviorSanitizer, once for a run of tests.

It is built with HPTS_SANITIZE=1 from a copy of its sources, so that the build in place stays as it
is.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("__init__.py", "_*.pyx", "_*.pxd")


class SanitizedKernel(NamedTuple):
    """`path` holds a package with nothing but the kernel; `environment` is for a process whose
    `import hpts` is to find it."""

    path: Path
    environment: dict[str, str]


def sanitized_kernel_in(folder: Path) -> SanitizedKernel:
    """Builds it there, or finds what another process of this run has built or is building."""
    runtimes = [find_runtime("libasan.so"), find_runtime("libubsan.so")]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            build_sanitized(folder)
            (folder / "done").touch()
    return SanitizedKernel(
        folder / "src",
        {
            "LD_PRELOAD": " ".join(runtimes),
            # CPython keeps interned strings, types and more until the process ends and frees none
            # of it: a report of leaks would be about the interpreter.
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            # Every object in a block of its own, so that reading past the end of bytes is noticed.
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": os.pathsep.join((str(folder / "src"), str(ROOT))),
        },
    )


def find_runtime(name: str) -> str:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed, whose sanitizers this test runs the kernel under")
    asked = [compiler, f"-print-file-name={name}"]
    path = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(path).is_file():  # gcc repeats a name that it does not know
        pytest.skip(f"gcc has no {name}; install its sanitizer runtime to run this test")
    return path


def build_sanitized(tree: Path) -> None:
    """A package with the sanitized extension, under `tree`/src."""
    package = tree / "src" / "hpts"
    package.mkdir(parents=True, exist_ok=True)
    for pattern in SOURCES:
        for source in (ROOT / "src" / "hpts").glob(pattern):
            shutil.copy(source, package)
    shutil.copy(ROOT / "setup.py", tree)
    (tree / "setup.cfg").write_text("[options]\npackage_dir =\n    = src\npackages = hpts\n")
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tree,
        env=os.environ | {"HPTS_SANITIZE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    extension = next(package.glob("_posting*.so")).read_bytes()
    assert b"__asan_report_store" in extension
    assert b"__ubsan_handle_add_overflow" in extension
