"""While a mixed load runs, hundreds of faults lose nothing, double nothing, and service resumes.

`make test` runs two shards; `make soak SECONDS=3600` runs one, with longer faults.
"""

import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hpts.http.issuer import DevelopmentIssuer

from .background import Background
from .campaign import Campaign
from .catalogue import LONGEST, draw_order
from .table import PROPERTY, SUMMARY, added_up
from .world import World

SOAK_SECONDS = int(os.environ.get("SOAK_SECONDS", "0"))
SOAK_STRETCH = 3.0
SHARDS = ("soak",) if SOAK_SECONDS else ("1", "2")
PROGRESS_SECONDS = 60
FAULTS_MIN = 150


def note(request: pytest.FixtureRequest, campaign: Campaign) -> None:
    """For the table at the end of the run."""
    for row in added_up(campaign.rows)[:-1]:
        request.node.user_properties.append((PROPERTY, list(row)))
    request.node.user_properties.append((SUMMARY, campaign.summary()))


@pytest.mark.long
@pytest.mark.parametrize("shard", SHARDS)
def test_faults_lose_nothing(
    issuer: DevelopmentIssuer,
    issue_token: Callable[..., str],
    tmp_path: Path,
    seed: int,
    shard: str,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw = random.Random(f"{seed}/{shard}/order")
    said_at = time.monotonic()
    until = said_at + SOAK_SECONDS if SOAK_SECONDS else math.inf

    def say(line: str) -> None:
        nonlocal said_at
        if SOAK_SECONDS and time.monotonic() - said_at > PROGRESS_SECONDS:
            said_at = time.monotonic()
            with capsys.disabled():
                print(line, flush=True)

    with Background() as background, World(tmp_path, issuer, background) as world:
        campaign = Campaign(world, issue_token, f"{seed}/{shard}", say)
        world.stretch = SOAK_STRETCH if SOAK_SECONDS else 1.0
        has_disk = world.wal_disk is not None
        try:
            while True:
                kinds = draw_order(draw, has_wal_disk=has_disk, is_long=bool(SOAK_SECONDS))
                campaign.run(kinds, until=until)
                if not SOAK_SECONDS or time.monotonic() >= until:
                    break
            campaign.judge_everything()
        finally:
            note(request, campaign)
        assert campaign.faults_count >= FAULTS_MIN or SOAK_SECONDS


@pytest.mark.long
@pytest.mark.skipif(bool(SOAK_SECONDS), reason="a long run has this pause among its faults")
def test_a_pause_past_every_timeout_loses_nothing(
    issuer: DevelopmentIssuer,
    issue_token: Callable[..., str],
    tmp_path: Path,
    seed: int,
    request: pytest.FixtureRequest,
) -> None:
    with Background() as background, World(tmp_path, issuer, background) as world:
        campaign = Campaign(world, issue_token, f"{seed}/pause", lambda _: None)
        try:
            campaign.run([LONGEST])
            campaign.judge_everything()
        finally:
            note(request, campaign)
