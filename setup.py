"""Builds the Cython modules; everything else about the package stands in pyproject.toml.

HPTS_SANITIZE=1 builds them under AddressSanitizer and UndefinedBehaviorSanitizer, for their tests
(tests/kernel/test_sanitizer.py). Python's own flags hold -fwrapv, which defines what a signed
overflow does and so would keep the sanitizer silent about one: it is taken back there.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("HPTS_SANITIZE") == "1"
FLAGS = (
    ["-O1", "-g", "-fno-wrapv", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    if SANITIZE
    else ["-O3"]
)

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"hpts.{name}",
                [f"src/hpts/{name}.pyx"],
                extra_compile_args=FLAGS,
                extra_link_args=FLAGS if SANITIZE else [],
            )
            for name in ("_posting", "_identifiers", "_hashing", "_vouching")
        ],
        build_dir="build/cython",
        language_level=3,
    )
)
