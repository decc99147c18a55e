"""However often settings change while rows are made anew for others, and whatever is killed meanwhile: the rows are a rebuild's."""

import asyncio
import os
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.codec import Record, accept, encode_record
from shared.projection import reprojector
from shared.projection.batch import decode
from shared.projection.projector import Fenced, Projector
from shared.projection.reprojection import Limits
from shared.projection.reprojector import Reprojector
from shared.projection.tables import NOT_ROWS, projection
from tests.conftest import Workspace, new_workspace
from tests.properties.oracle import order
from tests.properties.test_rows_independent_of_order import rivals, rows_that_differ
from tests.properties.test_store_agrees_with_oracle import Killed, Mortal, _json
from tests.properties.worlds import SOCIAL_POSTS_MAX, random_worlds, world
from touchline.compose import Running

EXAMPLES = int(os.environ.get("TOUCHLINE_STORE_EXAMPLES", "200")) // 2
NOTHING_AT_ONCE = Limits(events=0, deals=0)
STEPS_MAX = 20_000  # of one world; it takes some hundred
CHANGES: tuple[dict[str, Any], ...] = (
    {"session_gap_minutes": 5}, {"session_gap_minutes": 240}, {"currency": "SEK"}, {"lookback_days": 3},
    {"internal_domains": ["a.example", "firm.example"]}, {"machine_rules": {"crawlers": False}},
    {"page_fragments": True}, {"time_zone": "Europe/Oslo"}, {"nobody": ["kasse"]},
)  # fmt: skip


@dataclass
class Process:
    """A projector of the partition, with what makes rows anew beside it."""

    connection: Mortal
    live: Projector
    beside: Reprojector

    async def act(self, workspace: Workspace, rng: random.Random) -> bool:
        """Project a batch, or do a step of the other work; False if there is nothing to do."""
        if rng.random() < 0.6 and await self.beside.step(self.connection):
            return True
        log = workspace.running.log
        if entries := await log.read(workspace.partition, self.live.offset, rng.choice([1, 2, 5, 20])):
            await self.live.project(self.connection, decode(entries))
            return True
        return await self.beside.step(self.connection)


async def started(running: Running, workspace: Workspace, rng: random.Random) -> Process:
    connection = Mortal(await running.pool.acquire(), running.generation.name)
    live = Projector(running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX, limits=NOTHING_AT_ONCE)
    await live.take(connection)
    connection.statements_left = rng.choice([0, 0, rng.randint(1, 80)])
    return Process(connection, live, Reprojector(running.log, live, asyncio.Lock(), rng.choice([0, 2, 10])))


async def play(running: Running, events: list[dict[str, Any]], rng: random.Random) -> Workspace:
    """Send the events shuffled and duplicated while they are projected, by processes that die and some that come back."""
    workspace = await new_workspace(running, "settings")
    records = _records(events, rng)
    process, zombie = await started(running, workspace, rng), None
    for _ in range(STEPS_MAX):
        if records and rng.random() < 0.3:
            n = rng.randint(1, 20)
            await running.log.append(workspace.name, records[:n])
            records = records[n:]
        if zombie is not None and rng.random() < 0.2:
            await go_on_unknowing(zombie, workspace, rng)
            await running.pool.release(zombie.connection.raw)  # type: ignore[arg-type]
            zombie = None
        try:
            if not await process.act(workspace, rng) and not records:
                break
            replaced = rng.random() < 0.01
        except (Killed, asyncpg.InterfaceError):
            replaced = True
        if replaced:
            if zombie is not None:
                await running.pool.release(zombie.connection.raw)  # type: ignore[arg-type]
            process, zombie = await started(running, workspace, rng), process
    else:
        raise AssertionError(f"the work has no end within {STEPS_MAX} steps")
    for each in (process, zombie):
        if each is not None:
            await running.pool.release(each.connection.raw)  # type: ignore[arg-type]
    return workspace


async def go_on_unknowing(zombie: Process, workspace: Workspace, rng: random.Random) -> None:
    """Let a process act that does not know that another has its partition, until it notices or has nothing to do."""
    try:
        while await zombie.act(workspace, rng):
            pass
    except (Fenced, Killed, asyncpg.InterfaceError):
        pass  # as it must be, or it was killed before; what it did shows in the rows


def _records(events: list[dict[str, Any]], rng: random.Random) -> list[bytes]:
    sent = events + [event for event in events if rng.random() < 0.2]
    rng.shuffle(sent)
    records = []
    for event in sent:
        record = accept(_json(event), 0, "server", time.time_ns() // 1000, None)
        assert isinstance(record, Record), record
        records.append(encode_record(record))
    return records


def sent_again(events: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """Changes of settings at any time of the world, and retractions of some."""
    out = []
    for n in range(rng.randint(1, 6)):
        event = rng.choice(events)
        at = event.get("occurred_at") or event["as_of"]
        out.append(
            {"type": "workspace_configured", "id": f"anew-{n}", "occurred_at": at, "settings": rng.choice(CHANGES)}
        )
        if rng.random() < 0.3:
            out.append({"type": "event_retracted", "id": f"not-{n}", "occurred_at": at, "event_id": f"anew-{n}"})
    return out


async def left_behind(running: Running) -> dict[int, list[str]]:
    """The numbers that are no workspace's, with the tables that have rows under them."""
    schema, found = running.generation.name, defaultdict(list)
    for table in projection.sorted_tables:
        if table.name not in NOT_ROWS:
            under_none = f"t.ws NOT IN (SELECT ws FROM {schema}.workspace_rows)"
            for row in await running.pool.fetch(f"SELECT DISTINCT ws FROM {schema}.{table.name} t WHERE {under_none}"):
                found[row["ws"]].append(table.name)
    return found


LEFT_BEFORE: set[int] = set()
"""Numbers under which other tests, which use the same store, have left rows behind."""
SEEN: list[int] = []
"""How often each world's rows were made anew."""


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(5, 60))
@random_worlds(EXAMPLES)
def check(running: Running, runner: asyncio.Runner, rng: random.Random, size: int) -> None:
    events = world(rng, size)
    events += rivals(rng, events) + sent_again(events, rng)
    seed = rng.randrange(2**32)

    async def run() -> list[str]:
        workspace = await play(running, events, random.Random(seed))
        found = await rows_that_differ(running, workspace)
        assert not {number: of for number, of in (await left_behind(running)).items() if number not in LEFT_BEFORE}
        times = f"SELECT times FROM {running.generation.name}.workspace_rows WHERE workspace_id = $1"
        SEEN.append(await running.pool.fetchval(times, workspace.name))
        return found

    assert not (found := runner.run(run())), "\n".join([*found, *map(repr, sorted(events, key=order))])


@pytest.mark.timeout(7200)
def test_rows_made_again_for_changed_settings_are_those_made_at_once(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reprojector, "BATCH_EVENTS_MAX", 4)  # so that small worlds take many steps
    monkeypatch.setattr(reprojector, "PIECE_PAGES", 2)
    monkeypatch.setattr(reprojector, "STALLED_STEPS", 6)
    LEFT_BEFORE.update(runner.run(left_behind(running)))
    check(running, runner)
    assert sum(SEEN) > len(SEEN) / 2, "rows were hardly ever made anew"
