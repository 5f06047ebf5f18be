"""The kernel's tests again, under AddressSanitizer and UndefinedBehaviorSanitizer.

The extension is built with HPTS_SANITIZE=1 from a copy of its sources, so that the build in place
stays as it is, and the other tests of this directory run against that copy in their own process.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("__init__.py", "_*.pyx", "_*.pxd")
# Not the configuration above, which starts PostgreSQL; not this file; not the stub's test, which is
# about types; not the test that bounds the address space, of which AddressSanitizer takes much.
LEFT_OUT = (
    "--confcutdir=tests/kernel",
    "-pno:cacheprovider",
    "--capture=no",  # a sanitizer ends the process, and its report must not be lost with it
    "--ignore=tests/kernel/test_sanitizer.py",
    "--ignore=tests/kernel/test_stub.py",
    "--deselect=tests/kernel/test_refusals.py::"
    "test_a_batch_without_memory_refuses_lines_and_never_writes_past_its_end",
)

RUN_AGAINST = """
import sys, pytest, hpts._posting as kernel
if not kernel.__file__.startswith(sys.argv[1]):
    sys.exit(f"the kernel under test is {kernel.__file__}, not the sanitized one")
sys.exit(pytest.main(sys.argv[2:]))
"""


def find_runtime(name: str) -> str:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed, whose sanitizers this test runs the kernel under")
    asked = [compiler, f"-print-file-name={name}"]
    path = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(path).is_file():  # gcc repeats a name that it does not know
        pytest.skip(f"gcc has no {name}; install its sanitizer runtime to run this test")
    return path


def build_sanitized(tree: Path) -> Path:
    """A package with the sanitized extension, under `tree`; its path for PYTHONPATH."""
    package = tree / "src" / "hpts"
    package.mkdir(parents=True)
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
    return tree / "src"


def test_the_kernel_touches_no_memory_but_its_own_and_leaves_nothing_undefined(tmp_path):
    runtimes = [find_runtime("libasan.so"), find_runtime("libubsan.so")]
    package_path = build_sanitized(tmp_path)
    environment = os.environ | {
        "LD_PRELOAD": " ".join(runtimes),
        # CPython keeps interned strings, types and more until the process ends and frees none of
        # it: a report of leaks would be about the interpreter.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        # Every object in a block of its own, so that reading past the end of bytes is noticed.
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": os.pathsep.join((str(package_path), str(ROOT))),
    }
    ran = subprocess.run(
        [sys.executable, "-c", RUN_AGAINST, str(package_path), "tests/kernel", "-q", *LEFT_OUT],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-8000:]
