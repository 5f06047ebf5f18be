"""The stub says what the compiled module has: names, parameters, defaults."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_stub_matches_the_compiled_module():
    environment = os.environ | {"MYPYPATH": str(ROOT / "src")}
    ran = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "hpts._posting"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
