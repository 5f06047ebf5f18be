"""What a process counts: cells of 64 bits in memory that a server's processes share.

A worker adds in a slot of its own, with no lock and no system call; who reads sums the slots. A
slot outlives its worker and the next one goes on in it, so a total never falls. Gauges count only
while their worker lives. How it looks to Prometheus is not known here (hpts/metrics).
"""

import fcntl
import mmap
import os
import time
import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

SLOTS_MAX = 512
"""Twice the workers that a server may have: while they are replaced there are both."""
CELLS_MAX = 1 << 16
"""Cells of a slot. Memory that nobody touches costs nothing."""
TENANTS_MAX = 50
"""Tenants that are told apart, the first ones that came; all others are one, named OTHER."""
OTHER = "other"
BY_TENANT = ("tenant",)
_CELL_BYTES = 8
_TENANT_BYTES = 16
_PAGE = 4096
_DIRECTORY_LOCK = SLOTS_MAX  # the byte of the file whose lock guards the directory of tenants

Labels = tuple[str, ...]


class Samples(NamedTuple):
    """One set of label values of a family, summed over the slots. `cells` are a histogram's buckets
    (not cumulative), the last without an upper bound, and its sum in nanounits; else one number."""

    labels: Labels
    cells: Sequence[int]


class Meters:
    """The families of one program, and the memory of one server. Make it before any fork.

    The memory: a page with the number of tenants and who they are; a page that says when each
    slot's process was last seen to run; the slots.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("hpts-meters")
        size = 2 * _PAGE + SLOTS_MAX * CELLS_MAX * _CELL_BYTES
        os.ftruncate(self._file, size)
        self._directory = mmap.mmap(self._file, _PAGE)
        memory = memoryview(mmap.mmap(self._file, size))[_PAGE:].cast("Q")
        self._seen_at = memory[:SLOTS_MAX]
        self._slots = memory[_PAGE // _CELL_BYTES :]
        self._places: dict[bytes, int] = {}
        self._cells_taken = 0
        self.families: list[Family] = []
        self._take_slot(0)

    def _take_slot(self, slot: int) -> None:
        self._slot = slot
        self.cells = self._slots[slot * CELLS_MAX : (slot + 1) * CELLS_MAX]

    def claim_slot(self) -> bool:
        """From now on this process counts in a slot of its own; False where none is free, and it
        shares slot 0 with whoever else has none. The lock on it ends with the process."""
        for slot in range(1, SLOTS_MAX):
            if self._try_lock(slot):
                self._take_slot(slot)
                self.note_alive()
                return True
        return False

    def note_alive(self) -> None:
        """Say that this process runs."""
        self._seen_at[self._slot] = time.monotonic_ns()

    def seconds_since_seen(self) -> list[float]:
        """For each process that lives and has a slot, how long ago it was seen to run."""
        now = time.monotonic_ns()
        return [max(0, now - self._seen_at[slot]) / 1e9 for slot in self._living()]

    def place_of(self, tenant_id: bytes) -> int:
        """Which of a family's tenants this one is."""
        place = self._places.get(tenant_id)
        return self._find_place(tenant_id) if place is None else place

    def _find_place(self, tenant_id: bytes) -> int:
        if self._tenant_count() == TENANTS_MAX and tenant_id not in self.tenants():
            return TENANTS_MAX
        if not self._try_lock(_DIRECTORY_LOCK):
            return TENANTS_MAX  # somebody else writes; the next time it is found
        try:
            known = self.tenants()
            if tenant_id not in known:
                if len(known) == TENANTS_MAX:
                    return TENANTS_MAX
                start = _TENANT_BYTES * (1 + len(known))
                self._directory[start : start + _TENANT_BYTES] = tenant_id
                known.append(tenant_id)
                self._directory[:_CELL_BYTES] = len(known).to_bytes(_CELL_BYTES, "little")
        finally:
            self._unlock(_DIRECTORY_LOCK)
        place = self._places[tenant_id] = known.index(tenant_id)
        return place

    def _tenant_count(self) -> int:
        return int.from_bytes(self._directory[:_CELL_BYTES], "little")

    def tenants(self) -> list[bytes]:
        """Those that are told apart, in the order of their places."""
        starts = range(_TENANT_BYTES, _TENANT_BYTES * (1 + self._tenant_count()), _TENANT_BYTES)
        return [self._directory[start : start + _TENANT_BYTES] for start in starts]

    def declare(self, family: "Family", count: int) -> int:
        """Room for a family: the first of its cells in every slot."""
        if self._cells_taken + count > CELLS_MAX:
            raise ValueError("the families have more cells than a slot")
        first, self._cells_taken = self._cells_taken, self._cells_taken + count
        self.families.append(family)
        return first

    def sum_of(self, first: int, count: int, *, is_lasting: bool) -> list[int]:
        """`count` cells over all slots that were ever used, or those of processes that live."""
        used = [slot for slot in range(1, SLOTS_MAX) if self._seen_at[slot]]
        slots = [0, *(used if is_lasting else self._living())]
        starts = [slot * CELLS_MAX + first for slot in slots]
        return [
            sum(cells)
            for cells in zip(*(self._slots[at : at + count] for at in starts), strict=True)
        ]

    def _living(self) -> list[int]:
        """The slots whose processes live."""
        return [slot for slot in range(1, SLOTS_MAX) if self._is_claimed(slot)]

    def _is_claimed(self, slot: int) -> bool:
        if slot == self._slot:
            return True  # the lock is this process's own: it would be given again, and then lost
        if not self._seen_at[slot]:
            return False
        if self._try_lock(slot):
            self._unlock(slot)
            return False
        return True

    def _try_lock(self, byte: int) -> bool:
        """Never close the file, or another descriptor of it: that would end every lock on it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError:
            return False
        return True

    def _unlock(self, byte: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)


METERS = Meters()
"""Of this program. Families are declared where they are counted, when their module is imported."""


class Family:
    """A name, what it means, its labels, and every set of values that these may have: `children`,
    or for BY_TENANT the tenants that are told apart. Each has `width` cells."""

    is_lasting = True

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Labels = (),
        children: Iterable[Labels] = ((),),
        *,
        width: int = 1,
        meters: Meters = METERS,
    ) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self._is_by_tenant = labels == BY_TENANT
        self._children = () if self._is_by_tenant else tuple(children)
        self._width = width
        self._meters = meters
        self._count = len(self._children) or TENANTS_MAX + 1
        self._first = meters.declare(self, self._count * width)
        self._cells = {labels: self._cell_at(at) for at, labels in enumerate(self._children)}

    def _cell_at(self, place: int) -> int:
        return self._first + place * self._width

    def cell_of(self, *labels: str) -> int:
        """Where the numbers of these label values begin."""
        return self._cells[labels]

    def cell_of_tenant(self, tenant_id: bytes) -> int:
        """The same for a tenant, of a family that is BY_TENANT."""
        return self._cell_at(self._meters.place_of(tenant_id))

    def samples(self) -> Iterator[Samples]:
        """What all processes counted."""
        cells = self._meters.sum_of(
            self._first, self._count * self._width, is_lasting=self.is_lasting
        )
        for place, labels in self._labels():
            yield Samples(labels, cells[place * self._width : (place + 1) * self._width])

    def _labels(self) -> Iterator[tuple[int, Labels]]:
        if not self._is_by_tenant:
            yield from enumerate(self._children)
            return
        for place, tenant_id in enumerate(self._meters.tenants()):
            yield place, (str(uuid.UUID(bytes=tenant_id)),)
        yield TENANTS_MAX, (OTHER,)


class Counter(Family):
    """A number that only grows."""

    def add(self, cell: int, count: int = 1) -> None:
        self._meters.cells[cell] += count


class Gauge(Family):
    """A number that is what it is; of a process that has ended, nothing."""

    is_lasting = False

    def set(self, cell: int, number: int) -> None:
        self._meters.cells[cell] = number

    def set_tenants(self, numbers: dict[bytes, int]) -> None:
        """The number of each tenant; zero for those that are not named."""
        found = [0] * self._count
        for tenant_id, number in numbers.items():
            found[self._meters.place_of(tenant_id)] += number
        for cell, number in enumerate(found, self._first):
            self._meters.cells[cell] = number


class Histogram(Family):
    """How often a value was at most each of `bounds`, and the sum of the values."""

    def __init__(
        self,
        name: str,
        meaning: str,
        bounds: tuple[float, ...],
        labels: Labels = (),
        children: Iterable[Labels] = ((),),
        *,
        meters: Meters = METERS,
    ) -> None:
        super().__init__(name, meaning, labels, children, width=len(bounds) + 2, meters=meters)
        self.bounds = bounds
        self._sum_at = len(bounds) + 1

    def observe(self, cell: int, value: float) -> None:
        cells = self._meters.cells
        cells[cell + bisect_left(self.bounds, value)] += 1
        cells[cell + self._sum_at] += int(value * 1e9)

    def observe_all(self, cell: int, values: Sequence[float]) -> None:
        """The same for many values at once, which costs half of it."""
        cells, bounds = self._meters.cells, self.bounds
        for value in values:
            cells[cell + bisect_left(bounds, value)] += 1
        cells[cell + self._sum_at] += int(sum(values) * 1e9)
