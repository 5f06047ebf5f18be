"""The stubs say what the compiled modules have: names, parameters, defaults."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_stubs_match_the_compiled_modules():
    environment = os.environ | {"MYPYPATH": str(ROOT / "src")}
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy.stubtest",
            "hpts._posting",
            "hpts._identifiers",
            "hpts._hashing",
            "hpts._vouching",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
