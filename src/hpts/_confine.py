"""Runs as a program of its own: `python -I -S _confine.py ACCOUNT PARENT_PID COMMAND...`.

Puts the process under an account that PostgreSQL accepts, ties its life to the parent's, and
becomes COMMAND; it decides nothing. It imports nothing of the package. `--reach FILE FOLDER` as
COMMAND only says whether that account could run FILE and enter FOLDER.
"""

import ctypes
import os
import signal
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def main(account: str, parent_pid: str, *command: str) -> None:
    """Become `command` as `account`: `plain`, `namespace:UID` or `drop:UID:GID`."""
    try:
        _take_account(account)
        if command[0] == "--reach":
            _check_reach(program=command[1], folder=command[2])
        else:
            _die_with_parent(int(parent_pid))
            os.execv(command[0], command)  # noqa: S606  (becoming COMMAND is this file's job)
    except OSError as error:
        sys.exit(f"account {account}: {error}")


def _take_account(account: str) -> None:
    kind, *numbers = account.split(":")
    if kind == "namespace":
        _enter_namespace(seen_uid=int(numbers[0]))
    elif kind == "drop":
        _drop_to(uid=int(numbers[0]), gid=int(numbers[1]))


def _enter_namespace(*, seen_uid: int) -> None:
    """Seen from inside, our own user is `seen_uid`; files keep their owners on disk.

    The uid must have an entry in passwd (initdb looks it up). `setgroups` has to be denied
    before an unprivileged process may write gid_map.
    """
    uid, gid = os.geteuid(), os.getegid()
    _call_libc("unshare", CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{seen_uid} {uid} 1")
    _write("/proc/self/gid_map", f"{seen_uid} {gid} 1")


def _drop_to(*, uid: int, gid: int) -> None:
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _check_reach(*, program: str, folder: str) -> None:
    for path in (program, folder):
        if not os.access(path, os.X_OK):
            raise PermissionError(f"cannot reach {path}")


def _die_with_parent(parent_pid: int) -> None:
    """Ask for SIGINT, PostgreSQL's fast shutdown, when the parent ends in whatever way.

    A change of account clears the request, so it comes last. A parent that ended before it was
    made has already given us another one.
    """
    _call_libc("prctl", PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise ProcessLookupError("the parent ended before the start")


def _call_libc(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*map(ctypes.c_ulong, arguments)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
