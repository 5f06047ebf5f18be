"""The kernel's tests again, under AddressSanitizer and UndefinedBehaviorSanitizer.

The other tests of this directory run against the sanitized build in their own process; random calls
of it are made by tests/fuzz.
"""

import os
import subprocess
import sys

from tests.kernel.sanitized import ROOT, SanitizedKernel

# Not the configuration above, which starts PostgreSQL; not this file; not the stub's test, which is
# about types; not the test that bounds the address space, of which AddressSanitizer takes much.
LEFT_OUT = (
    "--confcutdir=tests/kernel",
    "-pno:cacheprovider",
    "--capture=no",  # a sanitizer ends the process, and its report must not be lost with it
    "--ignore=tests/kernel/test_sanitizer.py",
    "--ignore=tests/kernel/test_stub.py",
    "--deselect=tests/kernel/test_misuse.py::"
    "test_a_batch_without_memory_refuses_lines_and_never_writes_past_its_end",
)

RUN_AGAINST = """
import sys, pytest, hpts._posting as kernel
if not kernel.__file__.startswith(sys.argv[1]):
    sys.exit(f"the kernel under test is {kernel.__file__}, not the sanitized one")
sys.exit(pytest.main(sys.argv[2:]))
"""


def test_the_kernel_touches_no_memory_but_its_own_and_leaves_nothing_undefined(
    sanitized_kernel: SanitizedKernel,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", RUN_AGAINST, str(sanitized_kernel.path)]
        + ["tests/kernel", "-q", *LEFT_OUT],
        cwd=ROOT,
        env=os.environ | sanitized_kernel.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-8000:]
