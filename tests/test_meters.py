"""Counting in shared memory: nothing is lost with a process, nothing counted for a dead one."""

import os
import signal
import uuid
from collections.abc import Callable

import pytest

from hpts.meters import BY_TENANT, OTHER, TENANTS_MAX, Counter, Gauge, Histogram, Meters


@pytest.fixture
def meters() -> Meters:
    return Meters()


def in_a_process(act: Callable[[], None]) -> int:
    """Run `act` in a fork that then waits to be killed; its pid once it has."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os.write(writer, b"!")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"!", "the process failed"
    os.close(reader)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def numbers(family: Counter | Gauge) -> dict[tuple[str, ...], int]:
    return {labels: cells[0] for labels, cells in family.samples()}


def test_a_value_counts_in_the_bucket_that_it_is_the_bound_of(meters: Meters) -> None:
    histogram = Histogram("h_seconds", "", (0.1, 0.3), meters=meters)
    for value in (0.1, 0.100001, 0.3, 7.5):
        histogram.observe(histogram.cell_of(), value)
    ((_, cells),) = histogram.samples()
    assert list(cells) == [1, 2, 1, 8_000_001_000]


def test_families_and_label_values_have_cells_of_their_own(meters: Meters) -> None:
    first = Counter("first_total", "", ("a",), [("x",), ("y",)], meters=meters)
    second = Counter("second_total", "", ("a",), [("x",)], meters=meters)
    first.add(first.cell_of("x"))
    first.add(first.cell_of("y"), 2)
    second.add(second.cell_of("x"), 3)
    assert numbers(first) == {("x",): 1, ("y",): 2}
    assert numbers(second) == {("x",): 3}


def test_a_total_is_the_sum_of_the_processes_and_never_falls_with_one(meters: Meters) -> None:
    counter = Counter("c_total", "", meters=meters)

    def act() -> None:
        assert meters.claim_slot()
        counter.add(counter.cell_of(), 5)

    pids = [in_a_process(act), in_a_process(act)]
    assert numbers(counter) == {(): 10}
    for pid in pids:
        kill(pid)
        assert numbers(counter) == {(): 10}
    pids = [in_a_process(act)]
    assert numbers(counter) == {(): 15}, "who comes after goes on where the dead one was"
    kill(pids[0])


def test_a_gauge_counts_for_processes_that_live(meters: Meters) -> None:
    gauge = Gauge("g", "", meters=meters)

    def act() -> None:
        meters.claim_slot()
        gauge.set(gauge.cell_of(), 5)

    first, second = in_a_process(act), in_a_process(act)
    assert numbers(gauge) == {(): 10}
    kill(first)
    assert numbers(gauge) == {(): 5}
    assert len(meters.seconds_since_seen()) == 1
    kill(second)
    assert numbers(gauge) == {(): 0}
    assert meters.seconds_since_seen() == []


def test_reading_does_not_take_a_living_process_for_a_dead_one(meters: Meters) -> None:
    meters.claim_slot()
    for _ in range(2):
        assert len(meters.seconds_since_seen()) == 1
    pid = in_a_process(lambda: None if len(meters.seconds_since_seen()) == 1 else os._exit(1))
    kill(pid)


def test_processes_agree_on_which_tenant_is_which(meters: Meters) -> None:
    gauge = Gauge("g", "", BY_TENANT, meters=meters)
    tenants = [uuid.uuid4() for _ in range(3)]

    def act(order: list[uuid.UUID]) -> Callable[[], None]:
        def set_all() -> None:
            meters.claim_slot()
            gauge.set_tenants({tenant.bytes: 1 + tenants.index(tenant) for tenant in order})

        return set_all

    pids = [in_a_process(act(tenants)), in_a_process(act(tenants[::-1]))]
    assert numbers(gauge) == {
        **{(str(tenant),): 2 * (1 + at) for at, tenant in enumerate(tenants)},
        (OTHER,): 0,
    }
    for pid in pids:
        kill(pid)


def test_tenants_past_the_bound_are_counted_as_one(meters: Meters) -> None:
    histogram = Histogram("h", "", (1.0,), BY_TENANT, meters=meters)
    for _ in range(TENANTS_MAX + 7):
        histogram.observe(histogram.cell_of_tenant(uuid.uuid4().bytes), 0.5)
    found = dict(histogram.samples())
    assert len(found) == TENANTS_MAX + 1
    assert found[(OTHER,)][0] == 7
    assert sum(cells[0] for cells in found.values()) == TENANTS_MAX + 7


def test_a_tenant_that_is_no_longer_named_has_nothing(meters: Meters) -> None:
    gauge = Gauge("g", "", BY_TENANT, meters=meters)
    tenant = uuid.uuid4()
    gauge.set_tenants({tenant.bytes: 4})
    gauge.set_tenants({})
    assert numbers(gauge)[(str(tenant),)] == 0
