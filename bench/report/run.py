"""What a measurement is given: the plan, the results so far, and the running server.

The server is started when the first measurement asks for it and shared by those that can.
"""

import contextlib
import secrets
from pathlib import Path
from typing import Self, TypeVar

from bench.report import wrk
from bench.report.plan import Plan
from bench.report.programs import say
from bench.report.results import Results
from bench.report.stage import Stage, staged

Made = TypeVar("Made")
WARM_UP_CONNECTIONS = 64


class Run:
    """One run of the report; a context manager that ends whatever it started."""

    def __init__(self, folder: Path, plan: Plan, results: Results) -> None:
        self.folder = folder
        self.plan = plan
        self.results = results
        self.run_id = secrets.token_hex(4)
        self.notable: list[str] = []
        """Warnings and errors from the servers' logs."""
        self._stack = contextlib.ExitStack()
        self._stage: Stage | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_stage()

    @property
    def stage(self) -> Stage:
        """The shared server, warmed up. Started again when it has died."""
        if self._stage is None or not self._stage.is_alive:
            if self._stage is not None:
                self.notable.append("(the server ended by itself, and was started again)")
            self.close_stage()
            self._stage = self._start()
            self._warm_up(self._stage)
        return self._stage

    def fresh_stage(self) -> Stage:
        """A server with an empty ledger in the place of the shared one."""
        self.close_stage()
        self._stage = self._start()
        return self._stage

    def close_stage(self) -> None:
        """Stop the server and remove its data."""
        self._stage = None
        self._stack.close()

    def _start(self) -> Stage:
        say("  starting `hpts dev` on an empty database")
        return self._stack.enter_context(staged(self.folder, self.notable))

    def _warm_up(self, stage: Stage) -> None:
        """Open the loans, and let every worker prepare its statements and fill its caches."""
        say(f"  opening {self.plan.loan_count:,} loans")
        script = wrk.payments(stage.token(), stage.loans(self.plan.loan_count), self.new_name())
        wrk.measure(
            stage.base_url,
            script,
            connections=WARM_UP_CONNECTIONS,
            seconds=self.plan.warm_up_seconds,
        )

    def loans(self) -> Path:
        """The loans of the shared tenant that payments go to."""
        return self.stage.loans(self.plan.loan_count)

    def payments(self) -> wrk.Script:
        """Payments on the shared tenant's loans under keys never used before."""
        return wrk.payments(self.stage.token(), self.loans(), self.new_name())

    def new_name(self) -> str:
        """A name never used before, for idempotency keys."""
        return f"{self.run_id}{secrets.token_hex(4)}"

    def earlier(self, name: str, kind: type[Made]) -> Made | None:
        """The figures that `name` had before in this run."""
        record = self.results.record(name)
        if record is None or record.run_id != self.run_id or record.error is not None:
            return None
        return self.results.get(name, kind)
