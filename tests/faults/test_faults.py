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
from .catalogue import LONGEST, draw_order, draw_pair_order
from .fault import Kind
from .pair import Pair
from .table import PROPERTY, SUMMARY, added_up
from .world import World

SOAK_SECONDS = int(os.environ.get("SOAK_SECONDS", "0"))
SOAK_STRETCH = 3.0
SHARDS = ("soak",) if SOAK_SECONDS else ("1", "2")
PROGRESS_SECONDS = 60
STANDBY_SHARE = 4
"""A long run of the faults of a pair is so many times shorter."""
FAULTS_MIN = 150
"""Of each shard of a short run: 300 together."""
PROMOTIONS_MIN = 3


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
    with Background() as background, World(tmp_path, issuer, background) as world:
        campaign = Campaign(world, issue_token, f"{seed}/{shard}", progress(capsys))
        world.stretch = SOAK_STRETCH if SOAK_SECONDS else 1.0
        has_disk = world.wal_disk is not None
        run(
            campaign,
            lambda: draw_order(draw, has_wal_disk=has_disk, is_long=bool(SOAK_SECONDS)),
            SOAK_SECONDS,
            request,
        )
        assert campaign.faults_count >= FAULTS_MIN or SOAK_SECONDS


@pytest.mark.long
def test_a_standby_that_is_promoted_has_everything_that_was_answered(
    issuer: DevelopmentIssuer,
    issue_token: Callable[..., str],
    tmp_path: Path,
    seed: int,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw = random.Random(f"{seed}/pair/order")
    with Background() as background, Pair(tmp_path, issuer, background) as pair:
        campaign = Campaign(pair, issue_token, f"{seed}/pair", progress(capsys))
        pair.stretch = SOAK_STRETCH if SOAK_SECONDS else 1.0
        seconds = SOAK_SECONDS // STANDBY_SHARE
        run(campaign, lambda: draw_pair_order(draw), seconds, request)
        assert pair.promotions_count >= PROMOTIONS_MIN


def run(
    campaign: Campaign,
    draw_kinds: Callable[[], list[Kind]],
    seconds: int,
    request: pytest.FixtureRequest,
) -> None:
    """Every kind in the order drawn, once, or again and again for so many seconds."""
    until = time.monotonic() + seconds if seconds else math.inf
    try:
        while True:
            campaign.run(draw_kinds(), until=until)
            if not seconds or time.monotonic() >= until:
                break
        campaign.judge_everything()
    finally:
        note(request, campaign)


def progress(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says how far a long run is, now and then."""
    said_at = time.monotonic()

    def say(line: str) -> None:
        nonlocal said_at
        if SOAK_SECONDS and time.monotonic() - said_at > PROGRESS_SECONDS:
            said_at = time.monotonic()
            with capsys.disabled():
                print(line, flush=True)

    return say


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
