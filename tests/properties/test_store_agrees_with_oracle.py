"""Whatever the order, the batches, the duplicates and the crashes: the answers are the oracle's."""

import asyncio
import datetime as dt
import os
import random
import time
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.codec import Record, accept, encode_record
from shared.projection.batch import decode
from shared.projection.digest_updater import DigestUpdater, Part
from shared.projection.projector import Projector, workspace_number
from shared.projection.sql import Connection
from shared.reading import overview
from shared.reading.snapshot import Snapshot
from tests.conftest import Workspace, new_workspace
from tests.properties.compare import differences
from tests.properties.oracle import Oracle, order
from tests.properties.worlds import SOCIAL_POSTS_MAX, random_worlds, world
from touchline.compose import Running

FEW_MAX, CELLS_DAYS = overview.FEW_MAX, overview.cells_days
EXAMPLES = int(os.environ.get("TOUCHLINE_STORE_EXAMPLES", "200"))


async def no_cells(_: Snapshot) -> None:
    """As `cells_days` answers where a generation has no cells."""


class Killed(Exception):
    """The worker's connection was cut between two statements."""


class Mortal(Connection):
    """A connection that is cut before a given statement."""

    statements_left = 0

    async def _live(self) -> None:
        self.statements_left -= 1
        if self.statements_left == 0:
            self.raw.terminate()
            raise Killed

    async def fetch(self, *arguments: Any) -> list[Any]:
        await self._live()
        return await super().fetch(*arguments)

    async def fetchrow(self, *arguments: Any) -> Any:
        await self._live()
        return await super().fetchrow(*arguments)

    async def execute(self, *arguments: Any) -> str:
        await self._live()
        return await super().execute(*arguments)

    async def copy(self, *arguments: Any) -> None:
        await self._live()
        await super().copy(*arguments)


async def play(running: Running, events: list[dict[str, Any]], rng: random.Random) -> Workspace:
    """Send the events shuffled and duplicated, and project them in random batches by workers that die."""
    workspace = await new_workspace(running, "world")
    sent = events + [e for e in events if rng.random() < 0.3]
    rng.shuffle(sent)
    live = rng.random() < 0.5
    records = []
    for event in sent:
        received_us = received_soon(event, rng) if live else time.time_ns() // 1000
        record = accept(_json(event), 0, "server", received_us, None)
        assert isinstance(record, Record), record
        records.append(encode_record(record))
    while records:
        n = rng.randint(1, 30)
        await running.log.append(workspace.name, records[:n])
        records = records[n:]
    while await _project_some(running, workspace, rng):
        pass
    return workspace


def received_soon(event: dict[str, Any], rng: random.Random) -> int:
    """When a live event is received: from at once to more than a week after all that it tells of."""
    result = max(dt.datetime.fromisoformat(event[name]) for name in ("occurred_at", "as_of") if name in event)
    return int(result.timestamp()) * 1_000_000 + rng.choice([1, 5, 3_600, 800_000]) * 1_000_000


async def _project_some(running: Running, workspace: Workspace, rng: random.Random) -> bool:
    async with running.pool.acquire() as raw:
        connection = Mortal(raw, running.generation.name)
        projector = Projector(running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX)
        await projector.take(connection)
        connection.statements_left = rng.choice([0, 0, rng.randint(1, 60)])
        batch = rng.choice([1, 1, 2, 5, 20])
        try:
            while entries := await running.log.read(workspace.partition, projector.offset, batch):
                await projector.project(connection, decode(entries))
                await _digest_some(connection, workspace, running.log.partitions, rng)
        except (Killed, asyncpg.InterfaceError):
            return True
    return False


async def _digest_some(connection: Connection, workspace: Workspace, partitions: int, rng: random.Random) -> None:
    """Often not at all, so that cells stay dirty, added and stale while the next batches come."""
    ws = await workspace_number(connection, workspace.name)
    for _ in range(rng.choice([0, 0, 1, 2, 9])):
        if not await DigestUpdater(workspace.partition, partitions).step(
            connection, ws, [part for part in Part if rng.random() < 0.7]
        ):
            break


def _json(event: dict[str, Any]) -> bytes:
    return orjson.dumps(event)


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(5, 60))
@random_worlds(EXAMPLES)
def check(running: Running, runner: asyncio.Runner, rng: random.Random, size: int) -> None:
    events = world(rng, size)
    overview.FEW_MAX = rng.choice([0, FEW_MAX])  # the statements for many campaigns are as right for the few of a world
    overview.cells_days = rng.choice([no_cells, CELLS_DAYS])  # and so are the touches alone, where there are no cells
    seed = rng.randrange(2**32)

    async def run() -> list[str]:
        workspace = await play(running, events, random.Random(seed))
        async with workspace.client() as client:
            return await differences(client, Oracle(events, SOCIAL_POSTS_MAX), random.Random(seed))

    found = runner.run(run())
    assert not found, "\n".join([*found, *map(repr, sorted(events, key=order))])


@pytest.mark.timeout(7200)
def test_random_worlds_give_the_oracles_answers(running: Running, runner: asyncio.Runner) -> None:
    try:
        check(running, runner)
    finally:
        overview.FEW_MAX, overview.cells_days = FEW_MAX, CELLS_DAYS
