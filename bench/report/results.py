"""Raw results on disk, one JSON file a measurement, so that a report can be made again from them.

A measurement that failed leaves its reason in the place of its figures.
"""

import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.report.programs import MeasurementFailed

Figures = TypeVar("Figures")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement as kept. `figures` are its module's own struct, or None with an `error`.

    `stolen_seconds` is the CPU time that the machine below took meanwhile, `stolen_share` how much
    of all cores in the worst second.
    """

    name: str
    run_id: str
    measured_at: str
    seconds: float
    is_quick: bool
    error: str | None = None
    stolen_seconds: float = 0.0
    stolen_share: float = 0.0
    figures: msgspec.Raw = msgspec.Raw(b"null")


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was made on and with: (name, value) pairs to show."""

    run_id: str
    measured_at: str
    is_quick: bool
    machine: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    notable: tuple[str, ...] = ()


class Results:
    """The records of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, record: Record) -> None:
        self._write(record.name, record)

    def record(self, name: str) -> Record | None:
        """A measurement's record, or None when it was never made here."""
        path = self._path(name)
        return msgspec.json.decode(path.read_bytes(), type=Record) if path.exists() else None

    def get(self, name: str, kind: type[Figures]) -> Figures:
        """A measurement's figures. Raises MeasurementFailed with the reason why there are none."""
        record = self.record(name)
        if record is None:
            raise MeasurementFailed(f"{name} was not run")
        if record.error is not None:
            raise MeasurementFailed(f"{name}: {record.error}")
        return msgspec.json.decode(record.figures, type=kind)

    def keep_environment(self, environment: Environment) -> None:
        self._write("environment", environment)

    def environment(self) -> Environment | None:
        path = self._path("environment")
        return msgspec.json.decode(path.read_bytes(), type=Environment) if path.exists() else None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, name: str, content: Record | Environment) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        encoded = msgspec.json.format(msgspec.json.encode(content), indent=1)
        self._path(name).write_bytes(encoded)


def now_utc() -> str:
    """This moment in UTC, to the minute, as it is shown."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
