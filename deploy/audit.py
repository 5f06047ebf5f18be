"""What the image holds besides ours: the licence of each locked package, and known vulnerabilities.

`python deploy/audit.py PYTHON...`: interpreters of environments that together hold what is locked
(`make audit` makes them: what builds is not in the image any more). It fails on a licence that
deploy/licences.toml does not allow, and on a vulnerability. Where pip-audit cannot reach its data
it says so: then nothing was looked up.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LOCKS = ("build.lock", "requirements.lock")
AUDIT_SECONDS_MAX = 180
PACKAGE = re.compile(r"(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, str]:
    """Version by package of a lock, names normalised."""
    return {normalised(name): version for name, version in PACKAGE.findall(text)}


def is_allowed(package: str, licence: str, rules: dict[str, Any]) -> bool:
    """Whether a package may be under a licence: an SPDX expression, or classifiers joined by `;`,
    all of which count, since nobody says which of them is meant."""
    own = rules["packages"].get(package)
    if own is not None:
        return bool(own["licence"] == licence)
    known = rules["licences"]
    parts = re.split(r";| AND ", licence)
    return all(any(one.strip(" ()") in known for one in part.split(" OR ")) for part in parts)


def refused(
    shown: list[dict[str, str]], wanted: dict[str, str], rules: dict[str, Any]
) -> list[str]:
    """What is wrong: packages that are missing, of another version, or of a licence not allowed."""
    found = {(normalised(one["Name"]), one["Version"]): one for one in shown}
    wrong = []
    for package, version in sorted(wanted.items()):
        one = found.get((package, version))
        if one is None:
            wrong.append(f"{package} {version} is locked and not installed; run make lock-check")
        elif not is_allowed(package, one["License"], rules):
            wrong.append(f"{package} {version}: {one['License']} is not in deploy/licences.toml")
    return wrong


def vulnerabilities(output: str) -> list[str] | None:
    """Of pip-audit's JSON; None where it is none, since the data could not be reached."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    return [
        f"{one['name']} {one['version']}: {known['id']}, mended in {known['fix_versions']}"
        for one in packages
        for known in one.get("vulns", ())
    ]


def list_licences(pythons: list[str], wanted: dict[str, str]) -> list[str]:
    shown: list[dict[str, str]] = []
    for python in pythons:
        asked = [sys.executable, "-m", "piplicenses", "--python", python, "--format=json"]
        asked += ["--from=mixed", "--with-system"]
        ran = subprocess.run(asked, capture_output=True, text=True, check=True)
        shown += json.loads(ran.stdout)
    lines = {
        f"{one['Name']:<28}{one['Version']:<14}{one['License']}"
        for one in shown
        if wanted.get(normalised(one["Name"])) == one["Version"]
    }
    print(*sorted(lines, key=str.casefold), sep="\n")
    return refused(shown, wanted, tomllib.loads((FOLDER / "licences.toml").read_text()))


def look_up_vulnerabilities() -> list[str]:
    asked = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"]
    asked += ["--require-hashes", "--disable-pip", "--timeout=15"]
    for lock in LOCKS:
        asked += ["-r", str(FOLDER / lock)]
    why = "it took too long"
    found = None
    try:
        ran = subprocess.run(
            asked, capture_output=True, text=True, timeout=AUDIT_SECONDS_MAX, check=False
        )
        found, why = vulnerabilities(ran.stdout), ran.stderr.strip()[-300:]
    except subprocess.TimeoutExpired:
        pass
    if found is None:
        print(f"\nNOT LOOKED UP: pip-audit could not reach its data ({why}); run it where it can")
        return []
    print(f"\nvulnerabilities known to pip-audit: {len(found)}")
    return found


def main() -> None:
    wanted: dict[str, str] = {}
    for lock in LOCKS:
        wanted |= locked((FOLDER / lock).read_text())
    wrong = list_licences(sys.argv[1:], wanted) + look_up_vulnerabilities()
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(wanted)} locked packages, every licence allowed")


if __name__ == "__main__":
    main()
