"""Verifiers of tokens over a key set of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .token_bench import KEY_SET, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, KEY_SET, ("RS256", "ES256"))


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(
        keys: list[Any] = KEY_SET,
        algorithms: tuple[str, ...] = ("RS256", "ES256"),
        partner_clients: tuple[str, ...] = (),
    ) -> Bench:
        return Bench(tmp_path, keys, algorithms, partner_clients)

    return make
