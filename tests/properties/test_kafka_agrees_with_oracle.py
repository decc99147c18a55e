"""Through a real Kafka, with projectors that come and go while they project: the answers are the oracle's."""

import asyncio
import os
import random
import time
from dataclasses import dataclass

import orjson
import pytest

from services.projector.service import Projectors
from shared.events.codec import Record, accept, encode_record
from tests.conftest import Workspace, new_workspace
from tests.kafka import new_topic
from tests.properties.compare import differences
from tests.properties.oracle import Oracle
from tests.properties.worlds import world
from touchline.compose import Role, Running, compose
from touchline.configuration import Configuration

ROUNDS = int(os.environ.get("TOUCHLINE_KAFKA_EXAMPLES", "6"))
WORKSPACES = 6
PARTITIONS = 6
PROJECTED_S = 60


@dataclass
class Member:
    """One projector: a member of the consumer group with connections of its own."""

    running: Running
    task: "asyncio.Task[None]"

    @classmethod
    async def join(cls, url: str, settings: Configuration) -> "Member":
        running = await compose(url, settings, [Role.PROJECTOR])
        assert isinstance(running.projectors, Projectors)
        return cls(running, asyncio.create_task(running.projectors.run()))

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.running.close()


async def send(running: Running, workspaces: list[Workspace], worlds: list[list[dict]], rng: random.Random) -> None:
    """Append all worlds at once, each shuffled, with duplicates, in small parts with pauses between."""

    async def one(workspace: Workspace, events: list[dict]) -> None:
        sent = events + [e for e in events if rng.random() < 0.3]
        rng.shuffle(sent)
        now_us = time.time_ns() // 1000
        outcomes = [accept(orjson.dumps(event), 0, "server", now_us, None) for event in sent]
        records = [encode_record(outcome) for outcome in outcomes if isinstance(outcome, Record)]
        assert len(records) == len(sent)
        while records:
            n = rng.randint(1, 9)
            await running.log.append(workspace.name, records[:n])
            records = records[n:]
            await asyncio.sleep(rng.uniform(0, 0.2))

    await asyncio.gather(*map(one, workspaces, worlds))


async def projected(running: Running, workspace: Workspace) -> None:
    end = await running.log.end(workspace.partition)
    statement = f"SELECT next_offset FROM {running.generation.name}.progress WHERE partition = $1"
    async with asyncio.timeout(PROJECTED_S):
        while (await running.pool.fetchval(statement, workspace.partition) or 0) < end:
            await asyncio.sleep(0.05)


async def play(running: Running, url: str, settings: Configuration, rng: random.Random) -> tuple[list[str], int]:
    """One round: what differs, and how often a projector came or went meanwhile."""
    worlds = [world(rng, rng.randint(20, 60)) for _ in range(WORKSPACES)]
    workspaces = [await new_workspace(running, "world") for _ in worlds]
    members = [await Member.join(url, settings), await Member.join(url, settings)]
    sending = asyncio.create_task(send(running, workspaces, worlds, rng))
    changes = 0
    while not sending.done():
        await asyncio.sleep(rng.uniform(0.1, 1.5))
        if len(members) > 1 and rng.random() < 0.5:
            await members.pop(rng.randrange(len(members))).leave()
        elif len(members) < 4:
            members.append(await Member.join(url, settings))
        changes += 1
    await sending
    for workspace in workspaces:
        await projected(running, workspace)
    found: list[str] = []
    for workspace, events in zip(workspaces, worlds, strict=True):
        async with workspace.client() as client:
            found += [f"{workspace.name}: {each}" for each in await differences(client, Oracle(events), rng)]
    for member in members:
        await member.leave()
    return found, changes


@pytest.mark.timeout(3600)
def test_several_workspaces_on_several_projectors_rebalanced_in_mid_flight(
    own_database: str, kafka: str, runner: asyncio.Runner
) -> None:
    seed = int(os.environ.get("TOUCHLINE_SEED", random.randrange(2**32)))
    rng = random.Random(seed)
    topic = new_topic(kafka)
    settings = Configuration(
        database_url=own_database, kafka_bootstrap_servers=kafka, kafka_topic=topic.topic, kafka_group=topic.topic,
        kafka_partitions=PARTITIONS, kafka_replication_factor=1,
    )  # fmt: skip

    async def check() -> int:
        running = await compose(own_database, settings, [Role.INGEST, Role.API])
        changes = 0
        try:
            for _ in range(ROUNDS):
                found, changed = await play(running, own_database, settings, rng)
                assert not found, f"seed {seed}: " + "\n".join(found)
                changes += changed
        finally:
            await running.close()
        return changes

    changes = runner.run(check())
    print(f"seed {seed}: {ROUNDS} rounds of {WORKSPACES} workspaces, {changes} projectors came or went")
    assert changes >= ROUNDS, f"seed {seed}"
