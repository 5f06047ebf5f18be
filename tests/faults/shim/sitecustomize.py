"""Steps the wall clock of the Python process that finds this on its PYTHONPATH.

`time.time` and `time.time_ns` are shifted by the seconds in the file FAULTS_CLOCK, which may
change at any moment. Not shifted: `datetime.now`, which no posting depends on, and the monotonic
clock, which a step of the wall clock leaves alone in reality too.
"""

import mmap
import os
import struct
import time

_OFFSET = struct.Struct("<d")


def _install(path: str) -> None:
    with open(path, "rb") as file:
        shared = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    true_time, true_time_ns = time.time, time.time_ns

    def shifted_time() -> float:
        return true_time() + float(_OFFSET.unpack_from(shared)[0])

    def shifted_time_ns() -> int:
        return true_time_ns() + int(_OFFSET.unpack_from(shared)[0] * 1e9)

    time.time, time.time_ns = shifted_time, shifted_time_ns


if "FAULTS_CLOCK" in os.environ:
    _install(os.environ["FAULTS_CLOCK"])
