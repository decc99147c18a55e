"""After every event that comes to a history of won deals, in whatever state the sums of credit are, they say in any range what the touches say."""

import asyncio
import os
import random
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.codec import Record, accept, encode_record
from shared.events.instants import BEGINNING_US, DAY_US, END_US, to_micros
from shared.projection.batch import decode
from shared.projection.digest_updater import DigestUpdater
from shared.projection.projector import Projector, workspace_number
from shared.projection.sql import Connection
from shared.projection.stages.credit_days import apply
from shared.reading.credit_compared import EarnedOtherwise, earned_otherwise
from shared.reading.snapshot import snapshot_on
from tests.conftest import new_workspace
from tests.properties.random_limits import limits_at_random
from tests.properties.worlds import (
    ASSETS,
    BASE,
    OWN_MODELS,
    SETTINGS,
    SOCIAL_POSTS_MAX,
    Cast,
    catalog,
    configured,
    deal,
    instant,
    person,
    random_worlds,
    touch,
)
from touchline.compose import Running

EXAMPLES = max(1, int(os.environ.get("TOUCHLINE_STORE_EXAMPLES", "200")) // 20)
STEPS_MAX = 200
DAYS = 4
CHANGES = 15
TOUCHES_MAX = apply.TOUCHES_MAX


def history(rng: random.Random, cast: Cast) -> list[dict[str, Any]]:
    """Visitors who are known, touches of theirs, a catalog, and deals that are won on several days."""
    sent_events: list[dict[str, Any]] = [
        {"type": "asset_registered", "asset_id": asset, "asset_type": ASSETS[asset]} for asset in cast.assets
    ]
    sent_events += [
        {"type": "asset_associated", "asset_id": asset, "campaign_id": rng.choice(cast.campaigns)}
        for asset in cast.assets
    ]
    sent_events += [
        {"type": "contact_identified", "visitor_id": visitor, "contact": rng.choice(cast.contacts)}
        for visitor in cast.visitors
    ]
    for name in cast.deals:
        sent_events.append(
            {"type": "deal_created", "deal_id": name, "amount": "1000.01", "contacts": [rng.choice(cast.contacts)]}
        )
    events = [event | {"occurred_at": "2024-03-01T11:00:00Z"} for event in sent_events]
    events += [touch(rng, cast) | {"occurred_at": instant(rng, cast)} for _ in range(20)]
    events += [
        {"type": "deal_closed", "deal_id": name, "won": True, "occurred_at": instant(rng, cast)} for name in cast.deals
    ]
    return [event | {"id": f"h{n}"} for n, event in enumerate(events)]


def change(rng: random.Random, cast: Cast, n: int, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Anything that may come then."""
    make = rng.choices([touch, catalog, person, deal, configured, model, None], [6, 8, 3, 3, 2, 3, 4])[0]
    taken_back = {"type": "event_retracted", "event_id": rng.choice(events)["id"]}
    result = taken_back if make is None else make(rng, cast)
    return result | {"id": f"c{n}", "occurred_at": rng.choice(["2024-03-01T11:30:00Z", instant(rng, cast)])}


def model(rng: random.Random, cast: Cast) -> dict[str, Any]:
    """A definition of a model of the workspace's own."""
    return {"type": "model_defined"} | rng.choice(OWN_MODELS)


def edges(rng: random.Random) -> list[int]:
    """All of time, or a range that begins or ends within days or at midnights."""
    if rng.random() < 0.5:
        return [BEGINNING_US, END_US]
    base_us = to_micros(BASE)
    some = [base_us + rng.randrange(DAYS * DAY_US) for _ in range(2)]
    return sorted({rng.choice([at_us, at_us // DAY_US * DAY_US]) for at_us in some} | {END_US})


async def play_and_compare(running: Running, rng: random.Random) -> tuple[list[EarnedOtherwise], list[dict[str, Any]]]:
    workspace = await new_workspace(running, "sums")
    cast = Cast(rng, DAYS)
    cast.deals, cast.days, cast.talk = [f"d{n}" for n in range(rng.choice([4, 10]))], DAYS, SETTINGS
    events: list[dict[str, Any]] = []

    async def add(some: list[dict[str, Any]]) -> None:
        records = [accept(orjson.dumps(event), 0, "server", time.time_ns() // 1000, None) for event in some]
        await running.log.append(
            workspace.name, [encode_record(record) for record in records if isinstance(record, Record)]
        )

    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        projector = Projector(running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX)
        await projector.take(connection)
        updater = DigestUpdater(workspace.partition, running.log.partitions)
        steps = STEPS_MAX
        for n in range(CHANGES + 1):
            some = [change(rng, cast, n, events)] if n else history(rng, cast)
            events += some
            await add(some)
            while entries := await running.log.read(workspace.partition, projector.offset, 1_000):
                await projector.project(connection, decode(entries))
            async with snapshot_on(raw, workspace.name, running.generation.name) as snapshot:
                if found := await earned_otherwise(snapshot, edges(rng)):
                    return found, events
            ws = await workspace_number(connection, workspace.name)
            for _ in range(steps):
                if not await updater.step(connection, ws):
                    break
            steps = rng.choice([0, 1, 3, STEPS_MAX, STEPS_MAX])
    return [], events


@given(seed=st.integers(0, 2**32))
@random_worlds(EXAMPLES, shrink=False)
def check(running: Running, runner: asyncio.Runner, seed: int) -> None:
    rng = random.Random(seed)
    apply.TOUCHES_MAX = rng.choice([0, 2, TOUCHES_MAX])  # so that batches have days added up again from one on
    with limits_at_random(rng):
        found, events = runner.run(play_and_compare(running, rng))
    assert not found, "\n".join([*map(repr, found), *map(repr, events)])


@pytest.mark.timeout(7200)
def test_sums_match_touches_after_every_event(running: Running, runner: asyncio.Runner) -> None:
    try:
        check(running, runner)
    finally:
        apply.TOUCHES_MAX = TOUCHES_MAX
