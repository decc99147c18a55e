"""Every row is the same, whether history came shuffled and in random batches through crashes, or is projected at once."""

import asyncio
import itertools
import os
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.replay import bulk
from services.replay.build import Build, Resources
from shared.projection.bulk.split import Selection
from shared.projection.checksums import UNCOMPARED
from shared.projection.generations import Generation, create_generation, drop_generation
from shared.projection.stages.entities import apply as entities
from shared.projection.stages.touches import apply as touches
from shared.projection.tables import projection
from tests.conftest import Workspace
from tests.properties.oracle import order
from tests.properties.test_store_agrees_with_oracle import play
from tests.properties.worlds import SOCIAL_POSTS_MAX, random_worlds, world
from touchline.compose import Running

EXAMPLES = int(os.environ.get("TOUCHLINE_STORE_EXAMPLES", "200")) // 2
NUMBER = itertools.count()


async def rows(running: Running, schema: str, workspace: str) -> dict[str, set[str]]:
    """All rows of a workspace as text, by table; without the number that they stand under."""
    found = {}
    for table in projection.sorted_tables:
        if table.name not in UNCOMPARED:
            columns = ", ".join(f"t.{column.name}" for column in table.columns if column.name != "ws")
            statement = f"SELECT ROW({columns})::text FROM {schema}.{table.name} t JOIN {schema}.workspace_rows w USING (ws) WHERE w.workspace_id = $1"
            found[table.name] = {row[0] for row in await running.pool.fetch(statement, workspace)}
    return found


async def at_once(running: Running, workspace: Workspace) -> dict[str, set[str]]:
    """The rows that the workspace's events make when they are projected at once."""
    generation = Generation(f"once_{os.getpid()}_{next(NUMBER)}", running.log.identity, running.log.partitions)
    async with running.pool.acquire() as connection, connection.transaction():
        await create_generation(connection, generation, live=False)
    upto = {workspace.partition: await running.log.end(workspace.partition)}
    advanced: list[int] = []
    build = Build(
        Resources(running.pool, running.log), generation, advanced.append, Selection(workspace.name), SOCIAL_POSTS_MAX
    )
    await build.run(upto)
    found = await rows(running, generation.name, workspace.name)
    async with running.pool.acquire() as connection:
        await drop_generation(connection, generation.name)
    assert min(advanced) >= 0, "it was projected batch by batch"
    assert sum(advanced) == sum(upto.values())
    return found


def rivals(rng: random.Random, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events that claim ids of others, of whatever type."""
    out = []
    for _ in range(rng.choice([0, 0, 1, 3])):
        one, other = rng.choice(events), rng.choice(events)
        out.append(other | {"id": one["id"]})
    return out


async def rows_that_differ(running: Running, workspace: Workspace) -> list[str]:
    """What the workspace's rows, made as its history came, have that rows made at once have not, and the other way round; an item for each table."""
    live, whole = await rows(running, running.generation.name, workspace.name), await at_once(running, workspace)
    assert live["event_index"], "nothing was projected"
    return [
        f"{name}: live has {sorted(live[name] - whole[name])}, at once has {sorted(whole[name] - live[name])}"
        for name in live
        if live[name] != whole[name]
    ]


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(5, 60))
@random_worlds(EXAMPLES)
def check(running: Running, runner: asyncio.Runner, rng: random.Random, size: int) -> None:
    events = world(rng, size)
    events += rivals(rng, events)
    seed = rng.randrange(2**32)

    async def run() -> list[str]:
        return await rows_that_differ(running, await play(running, events, random.Random(seed)))

    assert not (found := runner.run(run())), "\n".join([*found, *map(repr, sorted(events, key=order))])


@pytest.mark.timeout(7200)
def test_rows_made_at_once_are_those_made_as_history_came(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SPAN_EVENTS", 40)  # so that small worlds have many spans and buckets
    monkeypatch.setattr(bulk, "BUCKET_EVENTS", 15)
    for stage in (entities, touches):
        monkeypatch.setattr(stage, "CHUNK_ROWS", 3)  # and changed settings read them in several chunks
    check(running, runner)
