"""A timer of microseconds for an event loop, which by itself knows only milliseconds.

It is a Linux timerfd on CLOCK_MONOTONIC, the clock of `time.monotonic_ns`, watched like a socket.
"""

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable

_NONBLOCK_AND_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1
_NS_PER_SECOND = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class PreciseTimer:
    """Calls `callback` once after each `arm`, in the loop that made it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._loop = loop
        self._callback = callback
        self._spec = _Itimerspec()
        self._file = self._libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK_AND_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "cannot make a timer")
        loop.add_reader(self._file, self._expired)

    def arm(self, at_ns: int) -> None:
        """Call back at `at_ns` of `time.monotonic_ns`, at once where that has passed."""
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(max(at_ns, 1), _NS_PER_SECOND)
        if self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(self._spec), None) < 0:
            raise OSError(ctypes.get_errno(), "cannot set the timer")

    def close(self) -> None:
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _expired(self) -> None:
        # armed anew between the wake-up and now, it has nothing to be read: it will call again
        with contextlib.suppress(BlockingIOError):
            os.read(self._file, 8)
            self._callback()
