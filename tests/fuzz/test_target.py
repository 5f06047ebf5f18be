"""The fuzz run finds what is broken: a planted defect in each target, kept with its input."""

import re
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import jwt.api_jws
import pytest

from hpts import proofs
from hpts.http import client_certificate, payloads, problems
from tests.fuzz import page_tokens, target
from tests.fuzz.catalogue import CATALOGUE, inputs_of
from tests.fuzz.table import Row, render
from tests.fuzz.target import Marker, Run, Target

Patch = Callable[[pytest.MonkeyPatch], None]


def run_of(found: Target, folder: Path, seed: int = 1) -> Run:
    return Run("planted", found, seed, Marker(folder / "marker"))


def test_an_input_is_drawn_from_its_number_alone(tmp_path: Path) -> None:
    drawn: list[Any] = []
    kept = Target(Random.random, lambda one: drawn.append(one) or "seen")  # type: ignore[func-returns-value]
    for _ in range(2):
        run_of(kept, tmp_path).one(5)
    run_of(kept, tmp_path).one(6)
    run_of(kept, tmp_path, seed=2).one(5)
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    assert Marker.read(tmp_path / "marker") == 5


def test_hypothesis_shrinks_what_it_finds(tmp_path: Path) -> None:
    def check(data: bytes) -> str:
        assert b"\x07" not in data
        return "fine"

    found = run_of(Target(lambda random: random.randbytes(20), check, bytes), tmp_path).run(4_000)
    assert re.search(r"hypothesis, shrunk: \[b'(?:\\x00)*\\x07(?:\\x00)*'\]", found.findings[0])
    assert re.search(r"planted, seed 1, input \d+: b", found.findings[1])
    assert found.outcomes["found"] > 1


def test_a_run_ends_with_its_time_though_inputs_are_left(tmp_path: Path) -> None:
    slow = Target(Random.random, lambda one: time.sleep(0.01) or "seen")  # type: ignore[func-returns-value]
    found = run_of(slow, tmp_path).run(100_000, seconds_max=0.3)
    assert 0 < found.inputs < 1_000
    assert found.findings == []


def test_an_input_that_never_ends_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "INPUT_SECONDS_MAX", 0.2)

    def check(number: int) -> str:
        while number:
            pass
        return "done"

    found = run_of(Target(lambda random: random.randrange(2), check), tmp_path).run(10)
    assert "TookTooLong" in found.findings[0]
    assert found.outcomes["done"]


def without_signatures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(jwt.api_jws.PyJWS, "_verify_signature", lambda *_, **__: None)


def without_seal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(page_tokens, "unseal", lambda query, token, shape: token[:16].encode())


def without_comparing_entries(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(proofs, "_compare_entry", lambda entry, said, tenant_id: said.pop("tenant_id"))


def with_any_root(patch: pytest.MonkeyPatch) -> None:
    class Anything(bytes):
        def __ne__(self, other: object) -> bool:
            return False

    patch.setattr(proofs, "root_of_inclusion", lambda *_: Anything())


def with_every_proxy_trusted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(client_certificate.Entrance, "_trusts", lambda self, peer: True)


def with_a_strict_encoder(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(problems, "_encode", problems._encoder.encode)


def with_int_for_amounts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(payloads, "_amount", int)


@pytest.mark.parametrize(
    ("module", "plant"),
    [
        ("tokens", without_signatures),
        ("page_tokens", without_seal),
        ("proof_files", without_comparing_entries),
        ("proof_files", with_any_root),
        ("certificates", with_every_proxy_trusted),
        ("problems", with_a_strict_encoder),
        ("bodies", with_int_for_amounts),
    ],
)
def test_a_planted_defect_is_found(
    module: str, plant: Patch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    context = {"folder": str(tmp_path), "seed": seed}
    fuzzed = import_module(f"tests.fuzz.{module}").target(context)
    assert run_of(fuzzed, tmp_path, seed).run(100).findings == []
    plant(monkeypatch)
    # With one seed in hundreds none of the first inputs meets the defect; a run has thousands.
    assert any(run_of(fuzzed, tmp_path, seed + more).run(400).findings for more in range(5))


def test_the_shares_of_a_million_are_a_million() -> None:
    assert sum(inputs_of(entry, 1_000_000) for entry in CATALOGUE) == 1_000_000


def test_the_table_adds_up() -> None:
    rows = [Row("b", 10, 1, 2.0, 3.0, {"500": 1, "201": 9}), Row("a", 5, 0, 4.0, 1.0, {"400": 5})]
    head, _, first, second, _, total = render(rows)
    assert head.split()[:4] == ["target", "inputs", "crashes", "500s"]
    assert first.startswith("a ") and first.endswith("400: 5")
    assert second.startswith("b ") and second.endswith("201: 9, 500: 1")
    assert total.split() == ["all", "15", "1", "1", "4", "ms", "4"]
