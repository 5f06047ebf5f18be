"""The stub says what the compiled module has: names, parameters, defaults."""

import os
import subprocess
import sys


def test_the_stub_matches_the_compiled_module(tmp_path):
    environment = os.environ | {"MYPYPATH": "src", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "hpts._posting"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
