"""Chooses how PostgreSQL, which refuses to be root, runs when we are root.

First a user namespace in which our own user has another number: files keep their owners and
every path stays reachable. Where that is forbidden, the user nobody, to whom the data directory
is then handed over. The owner of a data directory decides from then on.
"""

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from hpts.postgres_binaries import EmbeddedError

CONFINE = Path(__file__).with_name("_confine.py")
ROOT_WAYS = ("namespace", "drop")
REACH_SECONDS_MAX = 10.0


class Account(NamedTuple):
    """`word` is what _confine is told; `uid` and `gid` are set where files must change hands."""

    word: str
    uid: int | None = None
    gid: int | None = None


PLAIN = Account("plain")


def choose_account(data_dir: Path, postgres: Path, root_ways: tuple[str, ...]) -> Account:
    """The first account that can run `postgres` and enter the state directory.

    `root_ways` are those of ROOT_WAYS to try, in order. Raises EmbeddedError when none works.
    """
    if os.geteuid() != 0:
        return PLAIN
    reasons = []
    for account in _accounts_for_root(data_dir, root_ways):
        reason = _why_not(account, postgres, data_dir.parent)
        if reason is None:
            return account
        reasons.append(f"  {reason}")
    raise EmbeddedError(
        "PostgreSQL does not run as root, and no other way works here:\n"
        + "\n".join(reasons)
        + "\nRun hpts as another user, or put HPTS_STATE_DIR and HPTS_PG_BIN where every user"
        " may go."
    )


def confined(account: Account, command: tuple[str, ...]) -> list[str]:
    """`command` as a child of the calling process must start it; see _confine."""
    # -I: or the package's folder would shadow modules of the standard library (`http`).
    launcher = [sys.executable, "-I", "-S", str(CONFINE)]
    return [*launcher, account.word, str(os.getpid()), *command]


def admit(folder: Path, account: Account, *, to_write: bool = False) -> None:
    """Let the account pass through `folder`, which stays ours and closed to others."""
    found = folder.stat()
    if account.gid is None or (found.st_mode & 0o001 and not to_write):
        return
    os.chown(folder, -1, account.gid)
    folder.chmod((found.st_mode & 0o707) | (0o070 if to_write else 0o010))


def hand_over(folder: Path, account: Account) -> None:
    """Make everything below `folder` the account's; itself last, as the sign of completion."""
    if account.uid is None or account.gid is None or folder.stat().st_uid == account.uid:
        return
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            os.chown(Path(parent) / name, account.uid, account.gid, follow_symlinks=False)
    os.chown(folder, account.uid, account.gid)


def _accounts_for_root(data_dir: Path, root_ways: tuple[str, ...]) -> list[Account]:
    if data_dir.exists() and (owner := data_dir.stat()).st_uid != 0:
        return [_dropped(owner.st_uid, owner.st_gid)]
    found = {"namespace": Account(f"namespace:{_other_uid()}"), "drop": _nobody()}
    return [found[way] for way in root_ways]


def _other_uid() -> int:
    """Any uid that is not root's but has an entry in passwd: initdb looks its own up."""
    return next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0), 65534)


def _nobody() -> Account:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return _dropped(65534, 65534)
    return _dropped(entry.pw_uid, entry.pw_gid)


def _dropped(uid: int, gid: int) -> Account:
    return Account(f"drop:{uid}:{gid}", uid, gid)


def _why_not(account: Account, postgres: Path, state_dir: Path) -> str | None:
    try:
        admit(state_dir, account)
        tried = subprocess.run(
            confined(account, ("--reach", str(postgres), str(state_dir))),
            capture_output=True,
            text=True,
            timeout=REACH_SECONDS_MAX,
            check=False,
            cwd="/",
        )
    except OSError as error:
        return f"account {account.word}: {error}"
    except subprocess.TimeoutExpired:
        return f"account {account.word}: no answer within {REACH_SECONDS_MAX:.0f} s"
    return None if tried.returncode == 0 else tried.stderr.strip() or f"account {account.word}"
