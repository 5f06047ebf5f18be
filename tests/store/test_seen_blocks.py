"""What one process has seen every other one knows, and no process takes it back."""

import multiprocessing
import os
import random
import signal
import uuid

import pytest

from hpts.store.seen_blocks import SeenBlocks

_fork = multiprocessing.get_context("fork")


def in_a_child(work) -> None:
    child = _fork.Process(target=work)
    child.start()
    child.join(20)
    assert child.exitcode == 0


def test_the_newest_block_of_all_processes_counts() -> None:
    seen, tenant_id = SeenBlocks(), uuid.uuid4().bytes
    seen.join()
    assert seen.find(tenant_id) == 0
    seen.note(tenant_id, 7)

    def note() -> None:
        seen.join()
        assert seen.find(tenant_id) == 7
        seen.note(tenant_id, 9)
        seen.note(tenant_id, 8)

    in_a_child(note)
    assert seen.find(tenant_id) == 9
    seen.note(tenant_id, 8)
    assert seen.find(tenant_id) == 9
    assert seen.find(tenant_id[:-1] + bytes([tenant_id[-1] ^ 1])) == 0


def test_writers_at_once_lose_nothing(seed: int) -> None:
    """Each has cells of its own: no lock that a killed process could keep, no update lost."""
    draw = random.Random(seed)
    seen = SeenBlocks()
    tenants = [draw.randbytes(12) + row.to_bytes(4, "big") for row in range(50)]  # none shares one
    plans = [
        [(draw.choice(tenants), draw.randrange(1, 10**12)) for _ in range(2_000)] for _ in range(4)
    ]

    def follow(plan: list[tuple[bytes, int]]) -> None:
        seen.join()
        for tenant_id, number in plan:
            seen.note(tenant_id, number)

    children = [_fork.Process(target=follow, args=(plan,)) for plan in plans]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    for tenant_id in tenants:
        newest = max(number for plan in plans for of, number in plan if of == tenant_id)
        assert seen.find(tenant_id) == newest


def test_a_killed_process_leaves_its_place_and_what_it_wrote() -> None:
    seen, tenant_id = SeenBlocks(), uuid.uuid4().bytes

    def note_and_die() -> None:
        seen.join()
        seen.note(tenant_id, 5)
        os.kill(os.getpid(), signal.SIGKILL)

    child = _fork.Process(target=note_and_die)
    child.start()
    child.join(20)
    assert child.exitcode == -signal.SIGKILL
    seen.join()
    seen.note(tenant_id, 3)
    assert seen.find(tenant_id) == 5


def test_there_is_room_for_so_many_processes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpts.store.seen_blocks.COLUMNS", 1)
    seen = SeenBlocks()
    seen.join()

    def join() -> None:
        with pytest.raises(RuntimeError, match="more than 1 processes"):
            seen.join()

    in_a_child(join)
