"""The measurements, in the order in which a full run makes them.

Each module has a NAME, Figures (what it keeps), `measure`, TARGETS and `details`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from bench.report.figures import Target
from bench.report.measurements import (
    accruals,
    history,
    hordak,
    ledger_size,
    memory,
    noop,
    open_loop,
    payments,
    quiet_tenant,
    reads,
    tpcb,
    verification,
)
from bench.report.run import Run


class Measurement(Protocol):
    """What a measurement's module offers; its docstring says exactly what is measured."""

    @property
    def __doc__(self) -> str | None: ...  # type: ignore[override]

    @property
    def NAME(self) -> str: ...

    @property
    def TITLE(self) -> str: ...

    @property
    def Figures(self) -> type[Any]: ...

    @property
    def TARGETS(self) -> Sequence[Target]: ...

    def measure(self, run: Run) -> Any: ...

    def details(self, figures: Any) -> list[str]: ...


MEASUREMENTS: tuple[Measurement, ...] = (
    tpcb,
    noop,
    payments,
    open_loop,
    accruals,
    reads,
    history,
    ledger_size,
    verification,
    quiet_tenant,
    memory,
    hordak,
)
"""As they stand in the report."""

ORDER = (
    tpcb.NAME,
    noop.NAME,
    payments.NAME,
    reads.NAME,
    verification.NAME,  # while nearly all lines are of payments
    open_loop.NAME,
    accruals.NAME,
    history.NAME,
    quiet_tenant.NAME,
    hordak.NAME,
    tpcb.NAME,  # before and after what is compared with it
    memory.NAME,  # fills the disk: on a ledger that nothing else is measured on afterwards
    ledger_size.NAME,  # on an empty ledger of its own
)
"""As they are made."""
