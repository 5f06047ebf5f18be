"""One target in a process of its own: `python -m tests.fuzz CONTEXT`, a JSON file that says which.

A process of its own because a crash must end no test run, because the application's worker changes
the process it runs in, and because the sanitizers must be loaded first.
"""

import importlib
import json
import sys
from pathlib import Path

from tests.fuzz.target import Marker, Run


def main() -> None:
    context = json.loads(Path(sys.argv[1]).read_bytes())
    folder = Path(context["folder"])
    target = importlib.import_module(f"tests.fuzz.{context['module']}").target(context)
    run = Run(context["name"], target, context["seed"], Marker(folder / "marker"))
    if context["only"]:
        run.one(context["only"])
    report = run.run(0 if context["only"] else context["inputs"], context["seconds"])
    (folder / "report.json").write_text(json.dumps(report._asdict()))


if __name__ == "__main__":
    main()
